"""A worker's end: at SIGTERM, once its ranks have had their grace, or when nothing comes any more.

Layer: effects (processes, clock); imports carried, console, processes, supervise.
"""

import os
import signal
import time

from mpijob_runtime import carried, processes
from mpijob_runtime.console import Console
from mpijob_runtime.supervise import Companion

_IDLE_LOOK_SECONDS = 1.0


class WorkerWatch(Companion):
    """Decides when a worker's sshd is to end.

    Args:
        run_dir: the private directory.
        grace_seconds: how long ranks have to end after SIGTERM.
        idle_seconds: how long a worker stays after the end of its first job if no other comes; 0
            for ever.
        console: where to say why it ends.
    """

    def __init__(
        self, run_dir: str, grace_seconds: float, idle_seconds: float, console: Console
    ) -> None:
        self._run_dir = run_dir
        self._grace_seconds = grace_seconds
        self._idle_seconds = idle_seconds
        self._console = console
        self._ending = False
        self._look_at = 0.0
        self._worked = False
        self._idle_since: float | None = None
        processes.remove_file(f"{run_dir}/{carried.ENDING}")

    def on_signal(self, number: signal.Signals) -> float:
        """Let ranks end first, and return how long sshd is to stay for them.

        The agent of a job tells the launcher, which ends the job everywhere; without one the
        ranks here get SIGTERM.
        """
        self._ending = True
        self._refuse_new_jobs()
        agents = self._ours(carried.AGENT_NAME)
        processes.send(signal.SIGUSR1, agents)
        ranks = processes.programs_below(self._ours(carried.WRAPPER_NAME))
        if not agents:
            processes.send(signal.SIGTERM, ranks)
        if not agents and not ranks:
            return 0.0
        grace = self._grace_seconds
        self._console.warning(f"worker: got {number.name}: its ranks have {grace:.0f} s to end")
        return grace + 1.0  # the agent kills at the grace; its word goes out after that

    def _refuse_new_jobs(self) -> None:
        """Leave the file that agents look for; without it a job that starts now fails later."""
        path = f"{self._run_dir}/{carried.ENDING}"
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            self._console.warning(f"worker: {path}: {error.strerror}: jobs may still start here")

    def _ours(self, name: str) -> list[int]:
        there = processes.attempts(self._run_dir)
        return [pid for pid in processes.named(name) if pid in there]

    def on_tick(self) -> bool:
        """Return whether sshd is to end: nothing of a job is left, or none came for long."""
        now = time.monotonic()
        if not (self._ending or self._idle_seconds) or now < self._look_at:
            return False
        self._look_at = now + (0.0 if self._ending else _IDLE_LOOK_SECONDS)
        busy = bool(processes.attempts(self._run_dir))
        return not busy if self._ending else self._is_idle(now, busy=busy)

    def _is_idle(self, now: float, *, busy: bool) -> bool:
        self._worked = self._worked or busy
        if busy or not self._worked:
            self._idle_since = None
            return False
        self._idle_since = self._idle_since or now
        if now - self._idle_since <= self._idle_seconds:
            return False
        self._console.info(f"worker: no job for {self._idle_seconds:.0f} s: ending")
        return True
