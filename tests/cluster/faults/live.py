"""A job that is running, as a fault needs to take hold of it.

Layer: effects (podman, /proc, the pods' volumes on this machine); imports layout, processes.
"""

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from faults.layout import SSH_CONFIG, SSH_CONFIG_TEXT, VOLUME
from faults.processes import Process, processes_beside
from mpijob_local.containers import ADDRESS_LABEL, JOB_LABEL, POD_LABEL, ROLE_LABEL
from mpijob_local.podman import Engine, read_json
from mpijob_local.readiness import accepts_tcp

_PROGRAM = Path(__file__).with_name("program.py")
_PODS_SECONDS = 60.0
_RANKS_SECONDS = 30.0
_LISTENING_SECONDS = 5.0


class TrialError(Exception):
    """The fault could not be done; this says nothing about what was to be tested."""


@dataclass(frozen=True, slots=True)
class LivePod:
    """A pod's container.

    Attributes:
        pid: of its first process, on this machine.
        directory: of its volumes, on this machine.
    """

    name: str
    container: str
    pid: int
    address: str
    directory: Path

    @property
    def place(self) -> Path:
        """What the pod sees as /faults."""
        return self.directory / VOLUME

    @property
    def is_alive(self) -> bool:
        """The container's first process runs."""
        return Path(f"/proc/{self.pid}").exists()

    def begin(self) -> None:
        """Open its gate."""
        (self.place / "go").touch()

    def processes(self) -> list[Process]:
        """Return what runs in it."""
        return processes_beside(self.pid)

    def inside(self, path: str) -> Path:
        """Return where a path of the container lies as seen from here."""
        return Path(f"/proc/{self.pid}/root{path}")

    def run_in(self, spaces: tuple[str, ...], *argv: str) -> None:
        """Run a program in name spaces of the pod, as nsenter's options say."""
        command = ("nsenter", "--target", str(self.pid), *spaces, *argv)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            message = f"{' '.join(argv)}: {done.stderr.strip()}"
            raise TrialError(message)


class LiveJob:
    """A job whose pods are up.

    Args:
        podman: the engine.
        name: the job's name.
        home: state directory of mpijob-local.
        is_over: tells whether the run has ended.
    """

    def __init__(
        self, podman: Engine, name: str, *, home: Path, is_over: Callable[[], bool]
    ) -> None:
        self.podman = podman
        self.name = name
        self._volumes = home / "jobs" / f"default.{name}" / "volumes"
        self._is_over = is_over
        self.launcher: LivePod
        self.workers: list[LivePod] = []
        self.held: set[str] = set()

    @property
    def launcher_log(self) -> Path:
        """File with the launcher's output, a time before each line."""
        return self._volumes.with_name("logs") / f"{self.launcher.name}.log"

    @property
    def pods(self) -> list[LivePod]:
        """All pods, the launcher last."""
        return [*self.workers, self.launcher]

    def wait_for_pods(self, workers: int) -> None:
        """Return once all pods wait at their gates."""
        self._wait(lambda: self._look(workers), "all pods to be up", _PODS_SECONDS)
        for pod in self.pods:
            self._equip(pod)

    def refresh(self) -> None:
        """Look again: a pod may have got a new container."""
        self._look(len(self.workers))

    def begin(self, *, when_listening: bool) -> None:
        """Let all pods begin that are not held, the launcher last.

        Args:
            when_listening: the launcher begins only once the workers can be reached, as with
                launcherCreationPolicy WaitForWorkersReady; plain mpirun cannot wait.
        """
        workers = [pod for pod in self.workers if pod.name not in self.held]
        for pod in workers:
            pod.begin()
        deadline = time.monotonic() + _LISTENING_SECONDS
        while when_listening and time.monotonic() < deadline:
            workers = [pod for pod in workers if not accepts_tcp(pod.address, 2222, 1)]
            when_listening = bool(workers)
        self.launcher.begin()

    def wait_for_ranks(self) -> None:
        """Return once every rank works."""
        self._wait(self._all_work, "all ranks to start", _RANKS_SECONDS)

    def rank_process(self, rank: int) -> Process:
        """Return the process of a rank's program."""
        pod = self.workers[rank]
        inner = int((pod.place / f"rank-{rank}").read_text(encoding="ascii"))
        found = [it for it in pod.processes() if it.inner_pid == inner]
        return found[0] if found else _missing(f"rank {rank}")

    def tell_rank(self, rank: int, statement: str) -> None:
        """Let a rank run a statement."""
        place = self.workers[rank].place
        (place / "tell").write_text(statement, encoding="utf-8")
        (place / "tell").chmod(0o666)
        (place / "tell").rename(place / f"do-{rank}")

    def _look(self, workers: int) -> bool:
        rows = read_json(
            self.podman, "ps", f"--filter=label={JOB_LABEL}=default/{self.name}", "--format=json"
        )
        found: dict[str, list[LivePod]] = {"worker": [], "launcher": []}
        for row in rows:
            labels, directory = row["Labels"], self._volumes / row["Labels"][POD_LABEL] / "volumes"
            pod = LivePod(
                name=labels[POD_LABEL],
                container=row["Names"][0],
                pid=row["Pid"],
                address=labels[ADDRESS_LABEL],
                directory=directory,
            )
            found[labels[ROLE_LABEL]].append(pod)
        if len(found["worker"]) != workers or len(found["launcher"]) != 1:
            return False
        self.launcher = found["launcher"][0]
        self.workers = sorted(found["worker"], key=lambda pod: int(pod.name.rpartition("-")[2]))
        return True

    def _equip(self, pod: LivePod) -> None:
        program = pod.place / "program"
        program.write_bytes(_PROGRAM.read_bytes())
        program.chmod(0o755)
        config = pod.place / SSH_CONFIG
        config.write_text(SSH_CONFIG_TEXT, encoding="utf-8")
        config.chmod(0o644)

    def _all_work(self) -> bool:
        marks = (pod.place / f"rank-{rank}" for rank, pod in enumerate(self.workers))
        return all(mark.exists() for mark in marks)

    def _wait(self, is_so: Callable[[], bool], what: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not is_so():
            if self._is_over() or time.monotonic() > deadline:
                message = f"waited for {what} in vain"
                raise TrialError(message)
            time.sleep(0.05)


def signal_process(process: Process, number: int) -> None:
    """Send a signal to a process, which must be there."""
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        _missing(str(process))


def _missing(what: str) -> Process:
    message = f"{what} is not there"
    raise TrialError(message)
