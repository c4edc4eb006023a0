"""Steps as Prometheus metrics: a textfile for node_exporter, or an endpoint to scrape.

The only home of prometheus_client, which belongs to the torch image and is imported when asked
for.

Layer: effects (files, sockets, clock); imports errors, step_lines.
"""

import os
import time
from collections.abc import Mapping, Sequence
from types import ModuleType

from mpijob_runtime.errors import ConfigurationError
from mpijob_runtime.training.step_lines import Step

_TEXTFILE_SECONDS = 5.0


class _Series:
    """The metrics of one rank, in a registry of their own.

    Args:
        labels: name -> value, the same on each metric.
    """

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.client = client = _import_client()
        self.registry = registry = client.CollectorRegistry()
        prefix = "mpijob_training_"

        def make(kind: str, name: str, what: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
            metric = getattr(client, kind)(prefix + name, what, tuple(labels), registry=registry)
            return metric.labels(**labels)

        self._seconds = make("Summary", "step_seconds", "Duration of a step")
        self._samples = make("Counter", "samples", "Samples that this rank has used")
        self._step = make("Gauge", "step", "Number of the latest step")
        self._rate = make("Gauge", "samples_per_second", "Samples a second, over the last steps")
        self._loss = make("Gauge", "loss", "Loss of the latest step that had one")
        self._at = make("Gauge", "step_timestamp_seconds", "Unix time of the latest step's end")

    def take(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self._seconds.observe(step.step_seconds)
        samples = sum(step.samples for step in steps)
        seconds = sum(step.step_seconds for step in steps)
        self._samples.inc(samples)
        self._rate.set(samples / seconds if seconds > 0 else 0.0)
        self._step.set(steps[-1].step)
        self._at.set(steps[-1].time)
        losses = [step.loss for step in steps if step.loss is not None]
        if losses:
            self._loss.set(losses[-1])


class Textfile:
    """A Prometheus textfile, replaced as a whole at most every five seconds and at the end.

    Args:
        path: the file, whose name ends in ``.prom``; its directory is made if it is not there.
        labels: name -> value, the same on each metric.

    Raises:
        ConfigurationError: if it cannot be written, or prometheus_client is missing.
    """

    def __init__(self, path: str, labels: Mapping[str, str]) -> None:
        self.name = path
        self._series = _Series(labels)
        self._due_at = 0.0
        try:
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            self._write()
        except OSError as error:
            raise ConfigurationError(
                f"metrics {path}: cannot write: {error.strerror}",
                remedy="name a directory that this user can write and that has space",
            ) from error

    def take(self, steps: Sequence[Step]) -> None:
        """Count these steps, and write if it is time.

        Raises:
            OSError: if the file cannot be written.
        """
        self._series.take(steps)
        if time.monotonic() >= self._due_at:
            self._write()

    def close(self) -> None:
        """Write the last values, which stay.

        Raises:
            OSError: if the file cannot be written.
        """
        self._write()

    def _write(self) -> None:
        self._due_at = time.monotonic() + _TEXTFILE_SECONDS
        self._series.client.write_to_textfile(self.name, self._series.registry)


class Endpoint:
    """An HTTP endpoint for Prometheus, served by a thread of prometheus_client's.

    Args:
        port: TCP port, on all addresses.
        labels: name -> value, the same on each metric.

    Raises:
        ConfigurationError: if the port is taken, or prometheus_client is missing.
    """

    def __init__(self, port: int, labels: Mapping[str, str]) -> None:
        self.name = f"port {port}"
        self._series = _Series(labels)
        start = self._series.client.start_http_server
        try:
            self._server, self._thread = start(port, registry=self._series.registry)
        except (OSError, OverflowError) as error:
            raise ConfigurationError(
                f"metrics port {port}: cannot listen: {error}",
                remedy="choose a port from which on there is a free one for each local rank",
            ) from error

    def take(self, steps: Sequence[Step]) -> None:
        """Count these steps."""
        self._series.take(steps)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _import_client() -> ModuleType:
    try:
        import prometheus_client  # only who asks for it needs it
    except ImportError as error:
        raise ConfigurationError(
            "metrics for Prometheus were asked for, but prometheus_client is not installed",
            remedy="pip install prometheus-client (the torch image has it), or unset "
            "MPIJOB_METRICS_PORT and MPIJOB_METRICS_TEXTFILE_DIR",
        ) from error
    return prometheus_client
