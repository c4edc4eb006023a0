"""The launcher's end of the hosts' agents.

Layer: effects (threads, processes); imports carried, frame_reader, frames, refusal.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Protocol, cast

from mpijob_runtime import carried, frames
from mpijob_runtime.frame_reader import Frame, FrameReader, parse_object
from mpijob_runtime.frames import FrameError
from mpijob_runtime.refusal import HostRefusal

if TYPE_CHECKING:
    from mpijob_runtime.probes.ssh import SshConnection

AGENT = "/usr/local/lib/mpijob/agent"
"""Where the images have the agent."""

_AGENT_HERE = (sys.executable, "-I", "-m", "mpijob_runtime.agent")
_FINISH_SECONDS = 12.0


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
        names = ("PATH", "LD_LIBRARY_PATH")
        passed = {name: environ[name] for name in names if name in environ}
        told = {carried.RUN_DIR: run_dir, carried.ATTEMPT: attempt}
        self.process = subprocess.Popen(  # noqa: S603 - a constant command
            argv,
            env=passed | told,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )

    def read(self, *, timeout_seconds: float | None = None) -> bytes:
        """Return what comes next; nothing at the end."""
        del timeout_seconds  # a child that cannot start ends
        return os.read(cast("IO[bytes]", self.process.stdout).fileno(), 1 << 17)

    def write(self, data: bytes) -> None:
        """Write to the agent."""
        cast("IO[bytes]", self.process.stdin).write(data)

    def errors(self) -> str:
        """Return nothing: it has our stderr."""
        return ""

    def close(self) -> None:
        """End it."""
        for pipe in (self.process.stdin, self.process.stdout):
            cast("IO[bytes]", pipe).close()
        self.process.wait()


class HostWatch:
    """One host's agent.

    Args:
        host: the host's name in the plan.
        stream: its agent.
        connection: what to close with it, or None.

    Attributes:
        hello: what the agent said at first.
        stream: the agent.
        lost: whether it ended before it was told to finish.
    """

    def __init__(self, host: str, stream: Stream, connection: SshConnection | None) -> None:
        self.host = host
        self.connection = connection
        self.hello: dict[str, object] = {}
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
        try:
            self.tell(**hello)
            while not self._waiting:
                data = self.stream.read(timeout_seconds=timeout_seconds)
                if not data:
                    raise self._no_agent()
                self._waiting += self._reader.feed(data)
            self.hello = parse_object(self._waiting.pop(0)[2])
        except TimeoutError as error:
            reason = f"no word of the host's agent within {timeout_seconds:.0f} s"
            raise HostRefusal("session", reason) from error
        except (OSError, FrameError) as error:
            raise HostRefusal("session", f"the host's agent: {error}") from error
        if "refused" in self.hello:
            raise HostRefusal("session", str(self.hello["refused"]))

    def _no_agent(self) -> HostRefusal:
        said = (self.stream.errors() or self._reader.noise).strip().splitlines()
        reason = f"no agent of mpijob-runtime runs there: {said[-1] if said else 'no output'}"
        return HostRefusal("session", reason, lasting=True)

    def follow(
        self,
        on_event: Callable[[str, dict[str, object]], None],
        on_output: Callable[[int, str, int, bytes], None],
        on_lost: Callable[[str], None],
    ) -> None:
        """Take what the agent sends, in a thread of its own, until its end."""

        def work() -> None:
            try:
                self._take(on_event, on_output)
            finally:
                if not self._finished.is_set():
                    self.lost = True
                    self._finished.set()
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
