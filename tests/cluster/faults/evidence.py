"""What a job that has ended, or has not, left to look at.

Layer: effects (files, /proc, podman); imports judge, layout, live, model.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from faults.layout import REPORT
from faults.live import LiveJob
from faults.processes import Process
from mpijob_local.containers import JOB_LABEL
from mpijob_local.podman import Engine
from mpijob_local.removal import list_pods

_CLEAN_LIMIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a launcher's output, with when it came in seconds since the epoch."""

    time_seconds: float
    text: str


def read_report(job: LiveJob) -> dict[str, Any]:
    """Return the report of the launcher, or nothing if there is none."""
    path = job.launcher.place / REPORT
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return {}
    return report


def verdict_of(report: dict[str, Any]) -> str:
    """Return what a report says of the cause; the list of all hosts is no verdict."""
    failure = report.get("first_failure") or {}
    named = (f"rank {failure['rank']}", failure["host"]) if failure else ()
    words = (report.get("reason"), failure.get("cause"), *named, *failure.get("evidence", ()))
    return "\n".join(str(word) for word in words if word)


def read_lines(log: Path, *, since: float) -> list[Line]:
    """Return the launcher's lines from this time on."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    lines = (_parse(line) for line in text.splitlines())
    return [line for line in lines if line is not None and line.time_seconds >= since]


def noticed(lines: list[Line], wanted: list[list[str]], *, since: float) -> float | None:
    """Return when the first line came that names what is wanted; readiness is no notice."""
    words = wanted[0] if wanted else []
    for line in lines:
        if any(word in line.text for word in words) and not line.text.endswith(": ready"):
            return line.time_seconds - since
    return None


def finished_at(podman: Engine, container: str) -> float | None:
    """Return when a container ended, in seconds since the epoch, or None while it runs."""
    form = "{{.State.Running}} {{json .State.FinishedAt}}"
    done = podman.run("inspect", f"--format={form}", container, accept=())
    running, _, text = done.stdout.strip().partition(" ")
    return _epoch(json.loads(text)) if running == "false" else None


def wait_until_clean(job: LiveJob) -> list[str]:
    """Return what the job still has on its workers after a while; nothing as soon as possible."""
    deadline = time.monotonic() + _CLEAN_LIMIT_SECONDS
    while left := list(_left_on_workers(job)):
        if time.monotonic() > deadline:
            return left
        time.sleep(0.1)
    return []


def things_left(podman: Engine, name: str) -> list[str]:
    """Return containers and networks of a job that has been removed."""
    networks = podman.run(
        "network", "ls", "--quiet", f"--filter=label={JOB_LABEL}=default/{name}"
    ).stdout.split()
    containers = [pod.container for pod in list_pods(podman, f"default/{name}")]
    return [f"container {it}" for it in containers] + [f"network {it}" for it in networks]


def _left_on_workers(job: LiveJob) -> Iterator[str]:
    for pod in job.workers:
        for process in pod.processes():
            if not _belongs_to_worker(process, pod.pid):
                yield f"{process} on {pod.name}"


def _belongs_to_worker(process: Process, first: int) -> bool:
    """Tell the pod's first process, its listening sshd and its closed gate from a job's."""
    waits = process.parent == first and process.name == "sleep"
    listens = process.program == "sshd" and process.parent == first
    return process.pid == first or waits or listens


def _parse(line: str) -> Line | None:
    """Take a line of podman's k8s-file log apart: time, stream, tag, text."""
    stamp, _, rest = line.partition(" ")
    fields = rest.split(" ", 2)
    if len(fields) < 3:
        return None
    return Line(_epoch(stamp), fields[2])


def _epoch(text: str) -> float:
    """Return seconds since the epoch of an RFC 3339 time; nanoseconds are cut."""
    return datetime.fromisoformat(text).timestamp()
