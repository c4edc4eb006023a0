"""Runs one program as the head of a job: signals, deadlines, zombies, nothing left behind.

Open MPI's own ending is not enough: 5.0 ignores SIGTERM while an ssh hangs, and both leave ssh
children or ranks when mpirun is killed. So the program gets a session of its own, orphans come
back to us, and what outlives the program is ended here.

Layer: effects (processes, signals); imports processes.
"""

import ctypes
import errno
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import NamedTuple, cast

from mpijob_runtime import processes

_PR_SET_CHILD_SUBREAPER = 36
_FORWARDED = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_POLL_SECONDS = 0.2
_LEFTOVER_SECONDS = 2.0


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


class Companion:
    """What is asked while a program runs; this one has no wishes."""

    def on_signal(self, number: signal.Signals) -> float:
        """Take note of the first ending signal, outside of the signal handler.

        Returns:
            For how many seconds the program itself is not to be told yet.
        """
        del number
        return 0.0

    def on_tick(self) -> bool:
        """Do what is due, several times a second, and return whether the program is to end."""
        return False

    def spared(self) -> Collection[int]:
        """Return pids of other children, which are not to be ended with the program."""
        return ()


class Pipes(NamedTuple):
    """Descriptors for a program's stdin and stderr; None for our own."""

    stdin: int | None = None
    stderr: int | None = None


_OUR_OWN = Pipes()


class Supervisor:
    """Runs one program to its end, whatever happens meanwhile.

    Args:
        argv: the program; never a shell string.
        environ: its whole environment.
        grace_seconds: between the first ending signal and SIGKILL.
        leftover_seconds: how long what outlives the program has between SIGTERM and SIGKILL.
        companion: what is asked while the program runs.
        pipes: for the program, closed here once it has them.
    """

    def __init__(
        self,
        argv: Sequence[str],
        environ: Mapping[str, str],
        *,
        grace_seconds: float,
        leftover_seconds: float = _LEFTOVER_SECONDS,
        companion: Companion | None = None,
        pipes: Pipes = _OUR_OWN,
    ) -> None:
        self._argv = tuple(argv)
        self._environ = dict(environ)
        self._grace_seconds = grace_seconds
        self._leftover_seconds = leftover_seconds
        self._companion = companion or Companion()
        self._pipes = pipes
        self._ending = Ending()
        self._told = False
        self._tell_at: float | None = None
        self._deadline: float | None = None
        self._to_pass_on: list[signal.Signals] = []
        self._child: subprocess.Popen[bytes] | None = None

    def stop(self) -> None:
        """Ask for the program's end, as a SIGTERM would; safe from any thread."""
        self._ending.stopped = True

    @property
    def stopping(self) -> bool:
        """Whether the program has been told to end, or is about to be."""
        return self._ending.stopped or bool(self._ending.signals)

    def start(self) -> None:
        """Start the program, before ``run`` watches it.

        Raises:
            OSError: if it cannot be started.
        """
        if shutil.which(self._argv[0]) is None:
            raise FileNotFoundError(errno.ENOENT, "no such program", self._argv[0])
        become_subreaper()
        self._child = subprocess.Popen(  # noqa: S603 - argv is a tuple, decided by the plan
            (*_dying_with_us(), *self._argv),
            env=self._environ,
            start_new_session=True,
            stdin=self._pipes.stdin,
            stderr=self._pipes.stderr,
        )
        for descriptor in self._pipes:
            if descriptor is not None:
                os.close(descriptor)

    def abort(self) -> None:
        """Kill a program that was started and will not be watched, with all that it started."""
        if self._child is not None and self._child.poll() is None:
            _kill_group(self._child.pid)
            self._child.wait()
        self._end_leftovers()

    def run(self, *, when_watching: Callable[[], None] = lambda: None) -> Ending:
        """Start the program unless that is done, wait for its end, and end what it leaves.

        Args:
            when_watching: called once the signals are ours, before the program starts.

        Raises:
            OSError: if the program cannot be started.
        """
        with _WakingSignals(self._note, (*_ENDING, *_FORWARDED)) as waking:
            when_watching()
            if self._child is None:
                self.start()
            child = cast("subprocess.Popen[bytes]", self._child)
            try:
                while (code := child.poll()) is None:
                    if self._companion.on_tick():
                        self.stop()
                    self._act(child)
                    waking.wait(_POLL_SECONDS)
                    reap_orphans(except_pids=(child.pid, *self._companion.spared()))
                self._ending.returncode = code
            finally:
                self._ending.leftovers = self._end_leftovers()
        return self._ending

    def _note(self, number: int, _frame: FrameType | None) -> None:
        """Note a signal for the loop, which may not have a program yet."""
        noted = self._ending.signals if number in _ENDING else self._to_pass_on
        noted.append(signal.Signals(number))

    def _act(self, child: "subprocess.Popen[bytes]") -> None:
        """Pass signals on; kill once the grace is over or on a second Ctrl-C."""
        while self._to_pass_on:
            processes.send(self._to_pass_on.pop(0), [child.pid])
        signals, now = self._ending.signals, time.monotonic()
        if signals and self._tell_at is None:
            self._tell_at = now + self._companion.on_signal(signals[0])
        due = self._tell_at is not None and now >= self._tell_at
        if not self._told and (due or self._ending.stopped):
            self._told = True
            self._deadline = now + self._grace_seconds
            interrupted = bool(signals) and signals[0] == signal.SIGINT
            processes.send(signal.SIGINT if interrupted else signal.SIGTERM, [child.pid])
        hurried = signals.count(signal.SIGINT) > 1
        overdue = self._deadline is not None and now > self._deadline
        if (hurried or overdue) and not self._ending.killed:
            self._ending.killed = True
            _kill_group(child.pid)

    def _end_leftovers(self) -> list[int]:
        """End every process below this one, but for those that are spared."""

        def find() -> list[int]:
            spared = set(self._companion.spared())
            return [pid for pid in processes.descendants(os.getpid()) if pid not in spared]

        return processes.end(
            find,
            within_seconds=self._leftover_seconds,
            reap=lambda: reap_orphans(except_pids=self._companion.spared()),
        )


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


def reap_orphans(*, except_pids: Collection[int]) -> None:
    """Collect ended children, but for those that somebody else waits for."""
    for pid in processes.children(os.getpid()):
        if pid not in except_pids:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
