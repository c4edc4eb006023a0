"""The launcher's end of the hosts' agents.

Layer: effects (threads, processes); imports carried, clocks, frame_reader, frames, processes,
refusal.
"""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Protocol, cast

from mpijob_runtime import carried, frames, processes
from mpijob_runtime.clocks import ClockOffset, measure_offset
from mpijob_runtime.frame_reader import Frame, FrameReader, parse_object
from mpijob_runtime.frames import FrameError
from mpijob_runtime.refusal import HostRefusal

if TYPE_CHECKING:
    from mpijob_runtime.probes.ssh import SshConnection

AGENT = "/usr/local/lib/mpijob/agent"
"""Where the images have the agent."""

_AGENT_HERE = (sys.executable, "-I", "-m", "mpijob_runtime.agent")
_FINISH_SECONDS = 12.0
_TAKE_SECONDS = 5.0
_CLOSE_SECONDS = 8.0
"""How long the launcher's own agent may take to end: no longer than to kill what is left here."""

_LEFTOVER_SECONDS = 2.0
_REAP_SECONDS = 1.0
_POLL_SECONDS = 0.01


class Stream(Protocol):
    """A running agent, as bytes both ways."""

    def read(self, *, timeout_seconds: float | None = None) -> bytes:
        """Return what comes next; nothing at the end."""

    def write(self, data: bytes) -> None:
        """Write to the agent."""

    def errors(self) -> str:
        """Return what the agent has written to stderr."""

    def close(self) -> None:
        """End it."""


class LocalStream:
    """An agent on the launcher's own host: a child process."""

    def __init__(self, attempt: str, run_dir: str, environ: Mapping[str, str]) -> None:
        argv = (AGENT,) if os.access(AGENT, os.X_OK) else _AGENT_HERE
        names = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
        passed = {name: environ[name] for name in names if name in environ}
        told = {carried.RUN_DIR: run_dir, carried.ATTEMPT: attempt}
        self._attempt = attempt
        self._run_dir = run_dir
        self._hung = False
        self.process = subprocess.Popen(  # noqa: S603 - a constant command
            argv,
            env=passed | told,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
        self._reading = cast("IO[bytes]", self.process.stdout)
        self._writing = cast("IO[bytes]", self.process.stdin)
        os.set_blocking(self._writing.fileno(), False)

    def read(self, *, timeout_seconds: float | None = None) -> bytes:
        """Return what comes next; nothing at the end.

        Raises:
            TimeoutError: if nothing comes in time.
        """
        try:
            if not _ready(self._reading, select.POLLIN, timeout_seconds):
                raise TimeoutError
            return os.read(self._reading.fileno(), 1 << 17)
        except ValueError:  # closed meanwhile
            return b""

    def write(self, data: bytes) -> None:
        """Write to the agent; one that takes nothing for seconds is told nothing any more.

        Raises:
            OSError: if it is gone, or takes nothing.
        """
        rest = memoryview(data)
        if self._writing.closed:
            raise BrokenPipeError
        while rest:
            if self._hung or not _ready(self._writing, select.POLLOUT, _TAKE_SECONDS):
                self._hung = True
                raise TimeoutError
            with suppress(BlockingIOError):
                rest = rest[os.write(self._writing.fileno(), rest) :]

    def errors(self) -> str:
        """Return nothing: it has our stderr."""
        return ""

    def ended_by(self) -> signal.Signals | None:
        """Return the signal that has ended it, if one has."""
        with suppress(subprocess.TimeoutExpired):
            code = self.process.wait(_REAP_SECONDS)
            return signal.Signals(-code) if code < 0 else None
        return None

    def close(self) -> None:
        """End it; what one that does not end should have ended here is ended in its place."""
        self._writing.close()
        self._reading.close()
        try:
            self.process.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            processes.end(self._left, within_seconds=_LEFTOVER_SECONDS)

    def _left(self) -> list[int]:
        there = processes.attempts(self._run_dir)
        return [pid for pid, attempt in there.items() if attempt == self._attempt]


def _ready(pipe: IO[bytes], what: int, within_seconds: float | None) -> bool:
    waiting = select.poll()  # select() ends at descriptor 1023: a job may have more hosts
    waiting.register(pipe, what)
    return bool(waiting.poll(None if within_seconds is None else within_seconds * 1000))


class HostWatch:
    """One host's agent.

    Args:
        host: the host's name in the plan.
        stream: its agent.
        connection: what to close with it, or None.

    Attributes:
        hello: what the agent said at first.
        clock: how far the host's clock is from ours, or None if that is not known.
        stream: the agent.
        lost: whether it ended before it was told to finish.
    """

    def __init__(self, host: str, stream: Stream, connection: SshConnection | None) -> None:
        self.host = host
        self.connection = connection
        self.hello: dict[str, object] = {}
        self.clock: ClockOffset | None = None
        self.lost = False
        self.stream = stream
        self._reader = FrameReader()
        self._waiting: list[Frame] = []
        self._finished = threading.Event()
        self._heard_at = 0.0

    def greet(self, hello: Mapping[str, object], *, timeout_seconds: float) -> None:
        """Say who we are and wait for the agent's word.

        Raises:
            HostRefusal: if there is no agent, or it refuses this attempt.
        """
        deadline = time.monotonic() + timeout_seconds
        try:
            asked_at = time.time()
            self.tell(**hello)
            while not self._waiting:
                left = max(deadline - time.monotonic(), _POLL_SECONDS)
                data = self.stream.read(timeout_seconds=left)
                if not data:
                    raise self._no_agent()
                self._waiting += self._reader.feed(data)
            answered_at = time.time()
            self.hello = parse_object(self._waiting.pop(0)[2])
            self.clock = measure_offset(self.hello.get("clock"), asked_at, answered_at)
        except TimeoutError as error:
            reason = f"no word of the host's agent within {timeout_seconds:.0f} s"
            raise HostRefusal("session", reason) from error
        except (OSError, FrameError) as error:
            raise HostRefusal("session", f"the host's agent: {error}") from error
        if "refused" in self.hello:
            raise HostRefusal("session", str(self.hello["refused"]))

    def _no_agent(self) -> HostRefusal:
        if isinstance(self.stream, LocalStream) and (ended_by := self.stream.ended_by()):
            return HostRefusal("session", f"the host's agent was ended by {ended_by.name}")
        said = (self.stream.errors() or self._reader.noise).strip().splitlines()
        reason = f"no agent of mpijob-runtime runs there: {said[-1] if said else 'no output'}"
        return HostRefusal("session", reason, lasting=True)

    def follow(
        self,
        on_event: Callable[[str, dict[str, object]], None],
        on_output: Callable[[int, str, int, bytes], None],
        on_lost: Callable[[str], None],
    ) -> None:
        """Take what the agent sends, in a thread of its own, until its end.

        A bug in here or in what is called ends the thread, and does not mean that a host is lost:
        it goes to ``threading.excepthook``.
        """

        def work() -> None:
            try:
                self._take(on_event, on_output)
                self.lost = not self._finished.is_set()
            finally:
                self._finished.set()
            if self.lost:
                on_lost(self.host)

        threading.Thread(target=work, daemon=True, name=f"watch-{self.host}").start()

    def _take(
        self,
        on_event: Callable[[str, dict[str, object]], None],
        on_output: Callable[[int, str, int, bytes], None],
    ) -> None:
        pieces = self._waiting
        while not self._finished.is_set():
            for rank, stream, data in pieces:
                self._heard_at = time.monotonic()
                if rank >= 0:
                    on_output(rank, self.host, stream, data)
                    continue
                try:
                    event = parse_object(data)
                except FrameError:
                    return
                on_event(self.host, event)
                if event.get("event") == "finished":
                    self._finished.set()
                    return
            try:
                data = self.stream.read()
                pieces = list(self._reader.feed(data))
            except (OSError, FrameError):
                return
            if not data:
                return

    def tell(self, **command: object) -> None:
        """Tell the agent to do something; nothing happens if it is gone."""
        try:
            self.stream.write(frames.format_command(command))
        except OSError:
            return  # its end is noticed where it is read

    def finish(self) -> None:
        """Let the agent end what is left, pass on the last words, and end."""
        self._heard_at = time.monotonic()
        self.tell(do="finish")

    def wait_finished(self, *, silent_seconds: float) -> bool:
        """Wait until the agent has finished or is lost; False if it falls silent before."""
        while (left := self._heard_at + silent_seconds - time.monotonic()) > 0:
            if self._finished.wait(left):
                return True
        return False

    def close(self) -> None:
        """End the session and the connection."""
        if self.connection is None:
            self.stream.close()
        else:
            self.connection.close()


def start_remote(connection: SshConnection, attempt: str) -> HostWatch:
    """Start the agent on a host, over a connection to it.

    Raises:
        HostRefusal: if the host does not answer.
    """
    command = f"{carried.ATTEMPT}={shlex.quote(attempt)} exec {AGENT}"
    return HostWatch(connection.host, connection.start(command), connection)


def tell_all(watches: Sequence[HostWatch], **command: object) -> None:
    """Tell every agent to do something."""
    for watch in watches:
        watch.tell(**command)


def finish(watches: Sequence[HostWatch]) -> list[str]:
    """Let all agents end what is left and pass on their last words; return the hosts lost."""
    for watch in watches:
        watch.finish()
    silent = [w.host for w in watches if not w.wait_finished(silent_seconds=_FINISH_SECONDS)]
    return [watch.host for watch in watches if watch.lost] + silent
