"""Remove what belongs to jobs, and nothing else: only what carries our labels."""

import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mpijob_local.containers import (
    ADDRESS_LABEL,
    ADDRESSES_LABEL,
    JOB_LABEL,
    POD_LABEL,
    ROLE_LABEL,
)
from mpijob_local.network import Forwarding
from mpijob_local.podman import Engine, read_json
from mpijob_local.state import JobState
from mpijob_runtime.errors import ConfigurationError

_PATIENCE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class PodStatus:
    """A pod of a job as podman knows it.

    Attributes:
        job: ``namespace/name``.
        address: its IP address in the pod network.
        addresses: those in all its networks, that one first.
        created: seconds since the epoch.
        exit_code: None while it runs.
    """

    container: str
    job: str
    pod: str
    role: str
    state: str
    address: str
    addresses: tuple[str, ...]
    created: int
    exit_code: int | None


def list_pods(engine: Engine, job: str = "") -> tuple[PodStatus, ...]:
    """Return the pods of one job (``namespace/name``), or of all."""
    label = f"{JOB_LABEL}={job}" if job else JOB_LABEL
    rows = read_json(engine, "ps", "--all", f"--filter=label={label}", "--format=json")
    return tuple(sorted(map(_pod_status, rows), key=lambda pod: (pod.job, pod.role, pod.created)))


def _pod_status(row: dict[str, object]) -> PodStatus:
    labels, names = row["Labels"], row["Names"]
    if not isinstance(labels, dict) or not isinstance(names, list):
        message = "podman ps printed JSON of an unknown form"
        raise ConfigurationError(message, remedy="podman 4.0 or newer is needed")
    state = str(row["State"])
    return PodStatus(
        container=str(names[0]),
        job=str(labels[JOB_LABEL]),
        pod=str(labels.get(POD_LABEL, "")),
        role=str(labels.get(ROLE_LABEL, "")),
        state=state,
        address=str(labels.get(ADDRESS_LABEL, "")),
        addresses=tuple(str(labels.get(ADDRESSES_LABEL, "")).split(",")),
        created=int(str(row["Created"])),
        exit_code=int(str(row["ExitCode"])) if state == "exited" else None,
    )


def list_jobs(engine: Engine) -> tuple[str, ...]:
    """Return every job that has a network or a pod, as ``namespace/name``."""
    rows = read_json(engine, "network", "ls", f"--filter=label={JOB_LABEL}", "--format=json")
    with_network = (row["labels"][JOB_LABEL] for row in rows)
    return tuple(sorted({*with_network, *(pod.job for pod in list_pods(engine))}))


def remove_containers(engine: Engine, containers: Iterable[str]) -> None:
    """Remove containers at once, with their anonymous volumes."""
    if names := tuple(containers):
        engine.run("rm", "--force", "--ignore", "--volumes", "--time=0", *names)


def remove_job(engine: Engine, job: str, *, home: Path) -> int:
    """Remove pods, networks and files of a job and return how many pods there were."""
    pods = list_pods(engine, job)
    remove_containers(engine, (pod.container for pod in pods))
    networks = engine.run("network", "ls", "--quiet", f"--filter=label={JOB_LABEL}={job}")
    if names := networks.stdout.split():
        engine.run("network", "rm", "--force", *names)
    namespace, _, name = job.partition("/")
    JobState.of(home, namespace=namespace, job=name).remove()
    Forwarding(home).restore(engine)
    return len(pods)


def stop_owner(job: str, *, home: Path) -> None:
    """End the process that runs the job, as SIGTERM does, and wait until it has cleaned up.

    Raises:
        ConfigurationError: it does not end.
    """
    namespace, _, name = job.partition("/")
    state = JobState.of(home, namespace=namespace, job=name)
    owner = state.owner()
    if owner is None:
        return
    os.kill(owner, signal.SIGTERM)
    due = time.monotonic() + _PATIENCE_SECONDS
    while state.owner() is not None:
        if time.monotonic() >= due:
            message = f"process {owner}, which runs {job}, did not end in {_PATIENCE_SECONDS:g} s"
            raise ConfigurationError(message, remedy=f"kill -KILL {owner}, then the same again")
        time.sleep(0.1)
