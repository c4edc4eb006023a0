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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from mpijob_bench.errors import LaunchError

MARK = "bench"
"""The key that a rank's line has if it is for the benchmark."""

_GRACE_SECONDS = 40.0  # more than a launch takes to end its ranks
_LONGEST_LINE_BYTES = 4 << 20


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
    def reason(self) -> str:
        """Why it failed, in the launcher's words."""
        return str(self.report.get("reason") or f"exit code {self.exit_code}")


def run_launch(
    program: Sequence[str],
    take: Callable[[Line], None],
    *,
    log: Path,
    hosts: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    marked: bool = True,
) -> Launched:
    """Run a program on the job's hosts, a rank on each slot, and take the lines of its ranks.

    Args:
        program: its argv.
        take: called for each line as it comes; memory does not grow with their number.
        log: takes what else is printed; appended to.
        hosts: names (``worker-0:1`` with slots) of those that take part; all hosts if empty.
        environ: further variables of the ranks.
        marked: take only objects with the key ``bench``; else every JSON object.

    Raises:
        LaunchError: if mpijob-runtime is not there or a line is not to be believed.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as private, log.open("ab") as file:
        report = os.path.join(private, "report.json")
        argv = launch_argv(program, hosts=hosts, environ=environ or {}, report=report)
        started = time.monotonic()
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=file,
                env=os.environ | {"MPIJOB_RUN_DIR": os.path.join(private, "run")},
            )
        except OSError as error:
            message = f"cannot run {argv[0]}: {error.strerror}"
            raise LaunchError(message, remedy="pip install mpijob-runtime") from error
        try:
            _take_lines(process, take, file, marked=marked)
            code = process.wait()
        finally:
            _end(process)
        return Launched(code, time.monotonic() - started, _read_report(report))


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


def _take_lines(
    process: subprocess.Popen[bytes],
    take: Callable[[Line], None],
    log: BinaryIO,
    *,
    marked: bool,
) -> None:
    assert process.stdout is not None
    while raw := process.stdout.readline(_LONGEST_LINE_BYTES):
        line = parse_line(raw, marked=marked)
        if line is None:
            log.write(raw)
        else:
            take(line)


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


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave no launch behind: it ends its ranks itself."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _read_report(path: str) -> Mapping[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            report: dict[str, Any] = json.load(file)
    except (OSError, ValueError):
        return {}
    return report
