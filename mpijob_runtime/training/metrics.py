"""What each step of a training costs and gives, per rank, without slowing it down.

Layer: effects (files, clock, threads of prometheus_client); imports errors, progress,
prometheus, step_lines, world.
"""

import atexit
import logging
import math
import os
import socket
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self, SupportsFloat

from mpijob_runtime.training.places import Places, places
from mpijob_runtime.training.progress import ProgressFile
from mpijob_runtime.training.prometheus import Endpoint, Textfile
from mpijob_runtime.training.step_lines import Step, StepLines
from mpijob_runtime.training.world import World, world

_LOG = logging.getLogger(__name__)
_PROGRESS_SECONDS = 0.1
"""The stall watch looks every few seconds at most; a system call a step would be for nothing."""


class _Sink(Protocol):
    """Where steps go; what is wrong with it is an OSError."""

    name: str

    def take(self, steps: Sequence[Step]) -> None: ...

    def close(self) -> None: ...


class Metrics:
    """Step time, samples per second and loss of this rank; off unless asked for.

    Arguments win over the variables that are named with them. Without either nothing is written
    but the number of the step into ``$MPIJOB_PROGRESS_FILE``, which the launcher sets, so that
    ``--stall-timeout`` sees the training go on.

        with Metrics() as metrics:
            for step, (x, y) in enumerate(loader):
                …
                metrics.step(step, samples=len(x), loss=loss)

    Args:
        directory: takes ``metrics-rank-R.jsonl``, one object a step (``MPIJOB_METRICS_DIR``).
        textfile_directory: takes ``mpijob-[JOB-]rank-R.prom`` for node_exporter
            (``MPIJOB_METRICS_TEXTFILE_DIR``).
        port: of an endpoint for Prometheus; local rank L listens on port + L
            (``MPIJOB_METRICS_PORT``).
        job: a label (``MPIJOB_JOB_NAME``).
        flush_seconds: how long steps may stay in memory.
        environ: the rank's environment; this process's by default.

    Raises:
        ConfigurationError: if what was asked for cannot be done. Once it runs, nothing that is
            wrong with a file ends the training: it is logged once, as a warning.
    """

    def __init__(
        self,
        *,
        directory: str | None = None,
        textfile_directory: str | None = None,
        port: int | None = None,
        job: str | None = None,
        flush_seconds: float = 1.0,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        here, told = world(environ), places(environ)
        job = told.job if job is None else job
        self._flush_seconds = flush_seconds
        self._warned: set[str] = set()
        self._pending: list[tuple[int, float, float, int, SupportsFloat | None]] = []
        self._sinks = _open_sinks(
            directory or told.metrics_dir,
            textfile_directory or told.metrics_textfile_dir,
            port or told.metrics_port,
            _Labels(here, told, job),
        )
        self._progress = self._open_progress(told.progress_file)
        self._flush_at = self._progress_at = 0.0
        self.start()
        atexit.register(self.close)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the clock of the next step: after an evaluation, which is no part of a step."""
        self._last = time.perf_counter()

    def step(self, step: int, samples: int, loss: SupportsFloat | None = None) -> None:
        """Note the end of a step, which began at the end of the one before it.

        A loss that is a tensor is only read when steps are written, so a GPU is waited for once
        in ``flush_seconds`` and not at each step. Give the tensor of this step, not one that
        later steps add to.

        Args:
            step: its number, as the user counts.
            samples: samples that this rank used in it.
            loss: a number, or a tensor with one element.
        """
        now = time.perf_counter()
        if now >= self._progress_at:
            self._write_progress(step, now)
        if not self._sinks:
            return
        detach = getattr(loss, "detach", None)  # of a tensor: keeps no graph alive
        kept = loss if detach is None else detach()
        self._pending.append((step, time.time(), now - self._last, samples, kept))
        self._last = now
        if now >= self._flush_at:
            self.flush()

    def flush(self) -> None:
        """Write the steps that are still in memory."""
        self._flush_at = time.perf_counter() + self._flush_seconds
        pending, self._pending = self._pending, []
        if not pending:
            return
        steps = [
            Step(n, at, took, used, self._read(n, loss)) for n, at, took, used, loss in pending
        ]
        for sink in self._sinks:
            try:
                sink.take(steps)
            except OSError as error:
                self._warn_once(sink.name, "training goes on; cannot write: %s", error.strerror)

    def close(self) -> None:
        """Write what is left and close everything; more calls do nothing."""
        atexit.unregister(self.close)
        self.flush()
        for sink in self._sinks:
            try:
                sink.close()
            except OSError as error:
                self._warn_once(sink.name, "cannot write the last steps: %s", error.strerror)
        self._sinks = []
        if self._progress is not None:
            self._progress.close()
            self._progress = None

    def _read(self, step: int, loss: SupportsFloat | None) -> float | None:
        if loss is None:
            return None
        try:
            number = float(loss)
        except (TypeError, ValueError, RuntimeError) as error:
            self._warn_once("loss", f"step {step}: wanted one number: %s; it is left out", error)
            return None
        if not math.isfinite(number):
            self._warn_once("loss is finite", f"the loss of step {step} is %s", number)
        return number

    def _open_progress(self, path: str | None) -> ProgressFile | None:
        try:
            return ProgressFile(path) if path else None
        except OSError as error:
            self._warn_once(str(path), "cannot write the step's number: %s", error.strerror)
            return None

    def _write_progress(self, step: int, now: float) -> None:
        self._progress_at = math.inf if self._progress is None else now + _PROGRESS_SECONDS
        try:
            if self._progress is not None:
                self._progress.write(step)
        except OSError as error:
            self._progress_at = math.inf
            self._warn_once("progress", "cannot write the step's number: %s", error.strerror)

    def _warn_once(self, what: str, message: str, why: object) -> None:
        if what not in self._warned:
            self._warned.add(what)
            _LOG.warning(f"metrics: %s: {message}", what, why)


class _Labels:
    """What tells this rank's steps from those of others."""

    def __init__(self, here: World, told: Places, job: str) -> None:
        self.local_rank = here.local_rank
        self.prometheus = {
            "rank": str(here.rank),
            "host": socket.gethostname(),
            "job": job,
        }
        self.lines: dict[str, str | int] = {
            "rank": here.rank,
            "world_size": here.size,
            "host": socket.gethostname(),
            "job": job,
            "attempt": told.attempt,
        }
        self.lines_name = f"metrics-rank-{here.rank}.jsonl"
        name = f"{job}-" if job else ""
        self.textfile_name = f"mpijob-{name}rank-{here.rank}.prom".replace("/", "-")


def _open_sinks(
    directory: str | None, textfile_directory: str | None, port: int | None, labels: _Labels
) -> list[_Sink]:
    sinks: list[_Sink] = []
    if directory:
        sinks.append(StepLines(os.path.join(directory, labels.lines_name), labels.lines))
    if textfile_directory:
        path = os.path.join(textfile_directory, labels.textfile_name)
        sinks.append(Textfile(path, labels.prometheus))
    if port:
        sinks.append(Endpoint(port + labels.local_rank, labels.prometheus))
    return sinks
