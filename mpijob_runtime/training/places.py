"""What the launcher and the user tell a rank about files, metrics and the job's name.

Layer: training; imports carried, errors, world (which reads the environment).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mpijob_runtime import carried
from mpijob_runtime.errors import ConfigurationError
from mpijob_runtime.training.world import process_environ

METRICS_DIR = "MPIJOB_METRICS_DIR"
METRICS_TEXTFILE_DIR = "MPIJOB_METRICS_TEXTFILE_DIR"
METRICS_PORT = "MPIJOB_METRICS_PORT"
JOB_NAME = "MPIJOB_JOB_NAME"
_LARGEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Places:
    """Where a rank writes and looks; None is "nowhere".

    Attributes:
        progress_file: takes the number of the step, for ``--stall-timeout``.
        preemption_file: exists once the job is to end.
        metrics_dir: takes a file of JSON lines for each rank.
        metrics_textfile_dir: takes a Prometheus textfile for each rank.
        metrics_port: where local rank 0 serves Prometheus; the others on the ports after it.
        job: the job's name, as a label of metrics; may be empty.
        attempt: id of this start of the job; empty outside of ``mpijob-runtime launch``.
    """

    progress_file: str | None = None
    preemption_file: str | None = None
    metrics_dir: str | None = None
    metrics_textfile_dir: str | None = None
    metrics_port: int | None = None
    job: str = ""
    attempt: str = ""


def places(environ: Mapping[str, str] | None = None) -> Places:
    """Return what a rank's environment says; an empty value is none.

    Args:
        environ: the environment to read; this process's own if None.

    Raises:
        ConfigurationError: if ``MPIJOB_METRICS_PORT`` is no port.
    """
    environ = process_environ() if environ is None else environ
    return Places(
        progress_file=environ.get(carried.PROGRESS_FILE) or None,
        preemption_file=environ.get(carried.PREEMPTION_FILE) or None,
        metrics_dir=environ.get(METRICS_DIR) or None,
        metrics_textfile_dir=environ.get(METRICS_TEXTFILE_DIR) or None,
        metrics_port=_parse_port(environ.get(METRICS_PORT, "")),
        job=environ.get(JOB_NAME, ""),
        attempt=environ.get(carried.ATTEMPT, ""),
    )


def _parse_port(text: str) -> int | None:
    if not text:
        return None
    if text.isascii() and text.isdigit() and 0 < int(text[:6]) <= _LARGEST_PORT:
        return int(text)
    raise ConfigurationError(
        f"{METRICS_PORT}: found {text[:20]!r}, wanted a port from 1 to {_LARGEST_PORT}",
        remedy=f"correct {METRICS_PORT}, or unset it for no endpoint",
    )
