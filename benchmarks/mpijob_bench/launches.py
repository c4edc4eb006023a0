"""One launch: ``mpijob-runtime launch``, what its ranks tell, and how it ended.

Ranks tell by lines on stdout: each a JSON object with a key ``bench`` that names what it is. All
else that they print goes to the log of the launch.

Layer: effects (processes, files); imports errors.
"""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from mpijob_bench.errors import LaunchError, NotLaunchedError

MARK = "bench"
"""The key that a rank's line has if it is for the benchmark."""

NCCL_TELLS = {"NCCL_DEBUG": "INFO"}
"""For ranks: NCCL logs what it uses, which the launcher's report then has."""

_GRACE_SECONDS = 40.0  # more than a launch takes to end its ranks
_LONGEST_LINE_BYTES = 4 << 20
_NOTHING_RAN = ("not_started", "preempted")
_TRY_AGAIN = 75
_LAUNCHERS_OWN = (64, 69, 70, _TRY_AGAIN, 76, 78, 127)  # docs/reference.md, exit codes


@dataclass(frozen=True, slots=True)
class Line:
    """A line that a rank told.

    Attributes:
        rank: in its launch.
        host: its name in the launch's plan.
        data: the object; ``data["bench"]`` says what it is.
    """

    rank: int
    host: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Launched:
    """How a launch ended.

    Attributes:
        exit_code: of ``mpijob-runtime launch``.
        seconds: from its start to its end.
        report: its outcome (docs/reference.md), empty if it left none.
    """

    exit_code: int
    seconds: float
    report: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether all ranks ended well."""
        return self.exit_code == 0

    @property
    def came_about(self) -> bool:
        """Whether how it ended says something of the program: its ranks ran, and kept their hosts.

        The report's outcome decides; a program may end with any exit code. Where there is none,
        the launcher has not come far enough to leave one.
        """
        if self.ok:
            return True
        if self.report.get("outcome") in _NOTHING_RAN:
            return False
        failed = self.report.get("first_failure")
        if failed is None and self.exit_code == _TRY_AGAIN:  # without a lost host: it hung
            return self._all_started
        of_a_rank = failed and (failed.get("exit_code"), failed.get("signal")) != (None, None)
        return bool(of_a_rank) or self.exit_code not in _LAUNCHERS_OWN

    @property
    def _all_started(self) -> bool:
        size = self.report.get("world_size")
        return size is not None and self.report.get("ranks_started") == size

    def check_came_about(self, what: str) -> None:
        """Refuse a launch that says nothing: hosts not ready, a wrong setting, a host taken.

        Raises:
            NotLaunchedError: it is to do again. Its exit code is the launcher's own, or 75 in
                place of mpirun's, which would pass for a verdict.
        """
        if not self.came_about:
            code = self.exit_code if self.exit_code in _LAUNCHERS_OWN else _TRY_AGAIN
            raise NotLaunchedError(code, f"{what}: {self.reason}")

    @property
    def reason(self) -> str:
        """Why it failed, in the launcher's words."""
        return str(self.report.get("reason") or f"exit code {self.exit_code}")


class Launch:
    """A launch that is under way; a context manager that leaves none of it behind.

    Args:
        program: its argv.
        log: takes what else is printed; appended to.
        hosts: names (``worker-0:1`` with slots) of those that take part; all hosts if empty.
        environ: further variables of the ranks.

    Raises:
        LaunchError: if mpijob-runtime is not there.
    """

    def __init__(
        self,
        program: Sequence[str],
        *,
        log: Path,
        hosts: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._private = tempfile.TemporaryDirectory(prefix="bench-")
        self._report = os.path.join(self._private.name, "report.json")
        self._log = log.open("ab")
        self._started = time.monotonic()
        argv = launch_argv(program, hosts=hosts, environ=environ or {}, report=self._report)
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=os.environ | {"MPIJOB_RUN_DIR": os.path.join(self._private.name, "run")},
            )
        except OSError as error:
            self._close()
            message = f"cannot run {argv[0]}: {error.strerror}"
            raise LaunchError(message, remedy="pip install mpijob-runtime") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._close()

    def take(self, take: Callable[[Line], None], *, marked: bool = True) -> Launched:
        """Take lines until all have come, and return how it ended.

        Args:
            take: called for each line as it comes; memory does not grow with their number.
            marked: take only objects with the key ``bench``; else every JSON object.
        """
        assert self._process.stdout is not None
        while raw := self._process.stdout.readline(_LONGEST_LINE_BYTES):
            line = parse_line(raw, marked=marked)
            if line is None:
                self._log.write(raw)
            else:
                take(line)
        code = self._process.wait()
        return Launched(code, time.monotonic() - self._started, _read_report(self._report))

    def terminate(self) -> None:
        """Tell it to end, if it has not ended: it ends its ranks itself."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        """Tell it to end, and see to it that it does."""
        if self._process.poll() is None:
            self.terminate()
            try:
                self._process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _close(self) -> None:
        self._log.close()
        self._private.cleanup()


def end_all(launches: Iterable[Launch]) -> None:
    """End launches that are under way, all at the same time."""
    under_way = list(launches)
    for launch in under_way:
        launch.terminate()
    for launch in under_way:
        launch.end()


def run_launch(
    program: Sequence[str],
    take: Callable[[Line], None],
    *,
    log: Path,
    hosts: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Launched:
    """Run a program on the job's hosts, a rank on each slot, and take what its ranks tell.

    Arguments and errors are those of `Launch`.
    """
    with Launch(program, log=log, hosts=hosts, environ=environ) as launch:
        return launch.take(take)


def launch_argv(
    program: Sequence[str],
    *,
    hosts: Sequence[str] = (),
    environ: Mapping[str, str],
    report: str,
) -> tuple[str, ...]:
    """Return the argv of a launch."""
    chosen = ("--host", ",".join(hosts)) if hosts else ()
    variables = [part for item in environ.items() for part in ("--env", "=".join(item))]
    options = ("--output", "json", "--report", report, *chosen, *variables)
    return ("mpijob-runtime", "launch", *options, "--", *program)


def parse_line(raw: bytes, *, marked: bool = True) -> Line | None:
    """Return what a rank told in a line of ``--output json``, or None if it told nothing."""
    try:
        outer = json.loads(raw)
        inner = json.loads(outer["text"])
        line = Line(int(outer["rank"]), str(outer["host"]), inner)
    except (ValueError, KeyError, TypeError):
        return None
    told = isinstance(inner, dict) and (MARK in inner or not marked)
    return line if told and outer.get("stream") == "stdout" else None


def _read_report(path: str) -> Mapping[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            report: dict[str, Any] = json.load(file)
    except (OSError, ValueError):
        return {}
    return report
