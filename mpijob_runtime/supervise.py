"""Runs one program as the head of a job: signals, deadlines, zombies, nothing left behind.

Open MPI's own ending is not enough: 5.0 ignores SIGTERM while an ssh hangs, and both leave ssh
children or ranks when mpirun is killed. So the program gets a session of its own, orphans come
back to us, and what outlives the program is ended here.

Layer: effects (processes, signals); imports nothing of ours.
"""

import ctypes
import errno
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType

_PR_SET_CHILD_SUBREAPER = 36
_FORWARDED = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_POLL_SECONDS = 0.2
_LEFTOVER_SECONDS = 2.0
_UNKILLABLE_SECONDS = 5.0


@dataclass(slots=True)
class Ending:
    """How a supervised program ended.

    Attributes:
        returncode: as subprocess has it: negative for a signal.
        signals: the ending signals that we were sent, in order.
        stopped: whether ``stop`` was called.
        killed: whether we had to kill it.
        leftovers: pids that outlived it and were ended.
    """

    returncode: int = 0
    signals: list[signal.Signals] = field(default_factory=list)
    stopped: bool = False
    killed: bool = False
    leftovers: list[int] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """The code as a shell gives it: 128 + n for a signal."""
        return self.returncode if self.returncode >= 0 else 128 - self.returncode


class Supervisor:
    """Runs one program to its end, whatever happens meanwhile.

    Args:
        argv: the program; never a shell string.
        environ: its whole environment.
        grace_seconds: between the first ending signal and SIGKILL.
        leftover_seconds: how long what outlives the program has between SIGTERM and SIGKILL.
        on_signal: called once, outside of the signal handler, at the first ending signal.
    """

    def __init__(
        self,
        argv: Sequence[str],
        environ: Mapping[str, str],
        *,
        grace_seconds: float,
        leftover_seconds: float = _LEFTOVER_SECONDS,
        on_signal: Callable[[signal.Signals], None] = lambda _signal: None,
    ) -> None:
        self._argv = tuple(argv)
        self._environ = dict(environ)
        self._grace_seconds = grace_seconds
        self._leftover_seconds = leftover_seconds
        self._on_signal = on_signal
        self._ending = Ending()
        self._deadline: float | None = None
        self._to_pass_on: list[signal.Signals] = []

    def stop(self) -> None:
        """Ask for the program's end, as a SIGTERM would; safe from any thread."""
        self._ending.stopped = True

    def run(self, *, when_watching: Callable[[], None] = lambda: None) -> Ending:
        """Start the program, wait for its end, and end what it leaves.

        Args:
            when_watching: called once the signals are ours, before the program starts.

        Raises:
            OSError: if the program cannot be started.
        """
        if shutil.which(self._argv[0]) is None:
            raise FileNotFoundError(errno.ENOENT, "no such program", self._argv[0])
        become_subreaper()
        with _WakingSignals(self._note, (*_ENDING, *_FORWARDED)) as waking:
            when_watching()
            child = subprocess.Popen(  # noqa: S603 - argv is a tuple, decided by the plan
                (*_dying_with_us(), *self._argv), env=self._environ, start_new_session=True
            )
            try:
                while (code := child.poll()) is None:
                    self._act(child)
                    waking.wait(_POLL_SECONDS)
                    reap_orphans(except_pid=child.pid)
                self._ending.returncode = code
            finally:
                self._ending.leftovers = end_descendants(within_seconds=self._leftover_seconds)
        return self._ending

    def _note(self, number: int, _frame: FrameType | None) -> None:
        """Note a signal for the loop, which may not have a program yet."""
        noted = self._ending.signals if number in _ENDING else self._to_pass_on
        noted.append(signal.Signals(number))

    def _act(self, child: "subprocess.Popen[bytes]") -> None:
        """Pass signals on; kill once the grace is over or on a second Ctrl-C."""
        while self._to_pass_on:
            _send(child.pid, self._to_pass_on.pop(0))
        signals = self._ending.signals
        if self._deadline is None and (signals or self._ending.stopped):
            self._deadline = time.monotonic() + self._grace_seconds
            if signals:
                self._on_signal(signals[0])
            interrupted = bool(signals) and signals[0] == signal.SIGINT
            _send(child.pid, signal.SIGINT if interrupted else signal.SIGTERM)
        hurried = signals.count(signal.SIGINT) > 1
        overdue = self._deadline is not None and time.monotonic() > self._deadline
        if (hurried or overdue) and not self._ending.killed:
            self._ending.killed = True
            _send_group(child.pid, signal.SIGKILL)


class _WakingSignals:
    """Handles signals, and lets a wait end when one arrives or a child ends."""

    def __init__(
        self, handler: Callable[[int, FrameType | None], None], numbers: Sequence[signal.Signals]
    ) -> None:
        self._handler = handler
        self._numbers = numbers

    def __enter__(self) -> "_WakingSignals":
        self._read_end, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._write_end = write_end
        self._poll = select.poll()  # select() ends at descriptor 1023: a job may have more hosts
        self._poll.register(self._read_end, select.POLLIN)
        self._former_descriptor = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        self._former = {n: signal.signal(n, self._handler) for n in self._numbers}
        self._former[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._former_descriptor)
        os.close(self._read_end)
        os.close(self._write_end)

    def wait(self, seconds: float) -> None:
        """Return after this time, or as soon as a signal has arrived."""
        if self._poll.poll(seconds * 1000):
            os.read(self._read_end, 4096)


def _dying_with_us() -> tuple[str, ...]:
    """Return a prefix that sends the program SIGTERM should we be killed, where there is one."""
    setpriv = "/usr/bin/setpriv"
    return (setpriv, "--pdeathsig", "TERM") if os.access(setpriv, os.X_OK) else ()


def become_subreaper() -> None:
    """Make orphans of our descendants our children, so that none escapes."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans(*, except_pid: int) -> None:
    """Collect ended children, but for the one that somebody else waits for."""
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None or found.si_pid == except_pid:
            return
        os.waitpid(found.si_pid, 0)


def end_descendants(*, within_seconds: float) -> list[int]:
    """End every process below this one: SIGTERM, then SIGKILL; return their pids."""
    seen: dict[int, None] = {}
    deadline = time.monotonic() + within_seconds
    while pids := descendants(os.getpid()):
        overdue = time.monotonic() > deadline
        if time.monotonic() > deadline + _UNKILLABLE_SECONDS:
            break  # stuck in the kernel: nothing that a signal could do
        for pid in pids:
            if overdue or pid not in seen:
                _send(pid, signal.SIGKILL if overdue else signal.SIGTERM)
            seen[pid] = None
        time.sleep(0.02)
        reap_orphans(except_pid=0)
    return list(seen)


def descendants(ancestor: int) -> list[int]:
    """Return the pids of all living processes below one, from /proc."""
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := _read_stat(int(entry))) is not None:
            parents[int(entry)] = stat
    found, wave = [], {ancestor}
    while wave := {pid for pid, parent in parents.items() if parent in wave}:
        found += sorted(wave)
    return found


def _read_stat(pid: int) -> int | None:
    """Return the parent of a living process; None for a zombie or one that is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            state, parent = file.read().rpartition(")")[2].split()[:2]
    except OSError:
        return None
    return None if state in "ZX" else int(parent)


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _send_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return
