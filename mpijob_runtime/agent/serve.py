"""The agent's loop: the launcher on stdin and stdout, ranks on a socket, signals, deadlines.

Layer: effects (processes, sockets).
"""

from __future__ import annotations

import _signal
import _socket
import os
import select
import time

from mpijob_runtime import carried, frames, gpu_driver, processes
from mpijob_runtime.agent.children import Child, nccl_argv
from mpijob_runtime.agent.grace import term_seconds
from mpijob_runtime.agent.links import Links
from mpijob_runtime.agent.stacks import stacks_of
from mpijob_runtime.agent.streams import Outgoing, RankStream
from mpijob_runtime.agent.versions import versions_on_path
from mpijob_runtime.agent.wrapper import Wrapper
from mpijob_runtime.agent.zone import offset_of_zone
from mpijob_runtime.container_environ import read_container_environ
from mpijob_runtime.run_dir import at_socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TICK_SECONDS = 0.25
_IDLE_SECONDS = 3600.0
_GOING_SECONDS = 1.0
_LEFTOVER_SECONDS = 2.0
FLUSH_SECONDS = 10.0
_TROUBLE_SECONDS = 0.05
_SILENT_SECONDS = 25.0
"""A launcher that says it is alive every few seconds and then does not for so long is gone.

sshd has the same question, but 9.2 does not ask it while something is sent (measured).
"""


class Agent:
    """One attempt's agent on one host.

    Args:
        attempt: the attempt's id.
        run_dir: the host's private directory.
        grace_seconds: how long ranks have to end once nobody is there to say it.
        outgoing: the stream to the launcher.
        environ: the agent's own environment.

    Attributes:
        links: which networks work between hosts.
    """

    def __init__(
        self,
        attempt: str,
        run_dir: str,
        *,
        grace_seconds: float,
        outgoing: Outgoing,
        environ: Mapping[str, str],
    ) -> None:
        self._environ = environ
        self._attempt = attempt
        self._run_dir = run_dir
        self._grace_seconds = grace_seconds
        self._outgoing = outgoing
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[], object]] = {}
        self.links = Links(self._poll, self._handlers, self.tell)
        self._wrappers: dict[int, Wrapper] = {}
        self._streams: dict[int, RankStream] = {}
        self._listener: _socket.socket | None = None
        self._commands = bytearray()
        self._open = False
        self._told: dict[str, str] = {}
        self._held = False
        self._paused = False
        self._warned: set[int] = set()
        self._warning = False
        self._term_at = self._kill_at = float("inf")
        self._sample_seconds = 0.0
        self._sample_at = float("inf")
        self._silent_at = float("inf")
        self._cut_off = False
        self._troubles: set[str] = set()
        self._over = False

    def listen(self) -> None:
        """Listen for this host's ranks."""
        listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        former = os.umask(0o077)
        try:
            at_socket(self._run_dir, carried.agent_socket(self._attempt), listener.bind)
        finally:
            os.umask(former)
        listener.listen(1024)
        self._listener = listener
        self._register(listener.fileno(), self._accept)

    def run(self) -> None:
        """Serve until the launcher has finished or is gone."""
        self._take_signals({_signal.SIGUSR1: self._host_ends, _signal.SIGTERM: self._stop})
        os.set_blocking(0, False)
        self._register(0, self._read_commands)
        while not self._over:
            self._watch_outgoing()
            for descriptor, _ in self._poll.poll(self._timeout() * 1000):
                handler = self._handlers.get(descriptor)
                if handler is not None:
                    self._try(handler)
            self._try(self._act_in_time)
        self._close()

    # -- the loop -------------------------------------------------------------------------------

    def _try(self, step: Callable[..., object], *arguments: object) -> None:
        """Do a step; what the system refuses is told, once each, and costs no more than the step.

        Nobody but the agent can end the ranks here in time: it must not die of a file that cannot
        be opened.
        """
        try:
            step(*arguments)
        except OSError as error:
            self._tell_trouble(_words(error))
            time.sleep(_TROUBLE_SECONDS)  # what caused it may still be there: do not spin

    def _tell_trouble(self, words: str) -> None:
        if words not in self._troubles:
            self._troubles.add(words)
            self.tell("trouble", what=words)

    def _register(self, descriptor: int, handler: Callable[[], object]) -> None:
        self._handlers[descriptor] = handler
        self._poll.register(descriptor, select.POLLIN)

    def _take_signals(self, handlers: dict[int, Callable[[], None]]) -> None:
        """Let signals wake the loop, which then acts; nothing acts in the middle of a step."""
        come: list[int] = []
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        _signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        _signal.signal(_signal.SIGHUP, _signal.SIG_IGN)
        for number in handlers:
            _signal.signal(number, lambda number, _frame: come.append(number))

        def act() -> None:
            os.read(reading, 4096)
            while come:
                handlers[come.pop(0)]()

        self._register(reading, act)

    def _forget(self, descriptor: int) -> None:
        if self._handlers.pop(descriptor, None):
            try:
                self._poll.unregister(descriptor)
            except KeyError:
                return  # paused

    def _timeout(self) -> float:
        now = time.monotonic()
        ending = self._warning or self._kill_at < float("inf")
        due = min(self._sample_at, self._term_at, self._kill_at, self._silent_at) - now
        return max(0.0, min(due, _TICK_SECONDS if ending else _IDLE_SECONDS))

    def _watch_outgoing(self) -> None:
        """Let ranks wait, rather than keep what the launcher does not take."""
        self._outgoing.watch(self._poll, self._handlers)
        if self._outgoing.full == self._paused:
            return
        self._paused = self._outgoing.full
        for descriptor in self._streams:
            if self._paused:
                self._poll.unregister(descriptor)
            else:
                self._poll.register(descriptor, select.POLLIN)

    def _act_in_time(self) -> None:
        now = time.monotonic()
        if self._warning:
            self._warn_handlers()
        if now >= self._term_at:
            self._term_at = float("inf")
            self._warning = False
            processes.send(_signal.SIGTERM, self._programs())
        if now >= self._kill_at:
            self._kill_at = now + _TICK_SECONDS  # again, until none is left
            processes.send(_signal.SIGKILL, self._programs())
            self._release()
        if now >= self._silent_at:
            self._cut_off = True
            self._lose_launcher()
        if now >= self._sample_at:
            self._sample_at = now + self._sample_seconds
            self._tell_progress()
        if self._is_alone() and not self._programs():
            self._finish()

    def _is_alone(self) -> bool:
        return 0 not in self._handlers

    # -- the launcher ---------------------------------------------------------------------------

    def tell(self, event: str, **fields: object) -> None:
        """Tell the launcher."""
        self._outgoing.put(frames.format_event({"event": event, **fields}))

    def _read_commands(self) -> None:
        try:
            data = os.read(0, 65536)
        except BlockingIOError:
            return
        if not data:
            self._lose_launcher()
            return
        if self._silent_at < float("inf"):
            self._silent_at = time.monotonic() + _SILENT_SECONDS
        self._commands += data
        while (end := self._commands.find(b"\n")) >= 0:
            line = bytes(self._commands[:end])
            del self._commands[: end + 1]
            self._try(self._obey, frames.parse_command(line))

    def _lose_launcher(self) -> None:
        """Nobody is there any more to say how this ends: end the ranks here."""
        self._silent_at = float("inf")
        self._forget(0)
        self._outgoing.close()
        self._end_ranks()

    def _obey(self, command: dict[str, str]) -> None:
        act = {
            "alive": self._hear_alive,
            "ask": lambda: self.links.ask(command),
            "go": lambda: self._go(command),
            "warn": self._warn_all,
            "signal": lambda: processes.send(int(command["number"]), self._programs()),
            "kill": self._kill_now,
            "release": self._release,
            "sample": lambda: self._sample_every(float(command["seconds"])),
            "stacks": self._tell_stacks,
            "nccl": self._tell_nccl,
            "finish": self._finish,
        }.get(command.get("do", ""))
        if act is not None:
            act()

    def _hear_alive(self) -> None:
        self._silent_at = time.monotonic() + _SILENT_SECONDS

    def _warn_all(self) -> None:
        self._hold()
        self._warn()
        self.tell("warned", ranks=self._warned_ranks())

    def _kill_now(self) -> None:
        self._kill_at = time.monotonic()

    def _sample_every(self, seconds: float) -> None:
        self._sample_seconds = seconds
        self._sample_at = time.monotonic() + seconds

    def _tell_stacks(self) -> None:
        for wrapper in self._running():
            self.tell("stacks", rank=wrapper.rank, **stacks_of(wrapper.pid))

    def tell_gpus(self) -> None:
        """Tell which GPUs this host has, in an event of its own: a driver may take seconds."""
        self._start_child(gpu_driver.ARGV, lambda text: self.tell("gpus", facts=text))

    def _tell_nccl(self) -> None:
        """Tell which NCCL the ranks here have loaded, if they have."""
        from mpijob_runtime.probes.nccl_maps import loaded_libraries

        pids = (pid for family in self._families().values() for pid in family)
        found = next((paths[0] for pid in pids if (paths := loaded_libraries(pid))), None)
        if found:
            self._start_child(nccl_argv(found), lambda text: self.tell("nccl", answer=text))

    def _start_child(self, argv: tuple[str, ...], on_end: Callable[[str], None]) -> None:
        told = {carried.ATTEMPT: self._attempt, carried.RUN_DIR: self._run_dir}
        environ = {**self._environ, **read_container_environ(self._run_dir), **told}
        try:
            child = Child(argv, environ, on_end)
        except OSError as error:
            self._tell_trouble(f"{argv[-1]}: cannot be started: {error.strerror}")
            on_end("")
            return

        def read() -> None:
            if child.read():
                self._forget(child.descriptor)

        self._register(child.descriptor, read)

    def _go(self, command: dict[str, str]) -> None:
        """Open the gate; what comes through gets what the launcher says of the ranks here."""
        if self._open:
            return
        self._open = True
        self.links.close()
        self._told = command
        for wrapper in self._wrappers.values():
            wrapper.go(command, first=True)

    # -- ending ---------------------------------------------------------------------------------

    def _host_ends(self) -> None:
        """The worker's supervisor was told to end: so are the ranks, and the launcher knows."""
        self.tell("ending")
        self._hold()
        self._end_ranks()

    def _end_ranks(self) -> None:
        """Warn, terminate and kill the ranks within the grace, with nobody's help."""
        if self._kill_at < float("inf"):
            return
        now = time.monotonic()
        self._warn()
        patience = self._grace_seconds - term_seconds(self._grace_seconds)
        self._term_at = now + patience if self._warned else now
        self._kill_at = now + self._grace_seconds

    def _hold(self) -> None:
        """Keep wrappers until all ranks have ended: mpirun kills the others at the first end."""
        self._held = True
        for wrapper in self._wrappers.values():
            wrapper.tell(carried.HOLD)

    def _release(self) -> None:
        self._held = False
        for wrapper in self._wrappers.values():
            wrapper.tell(carried.RELEASE)

    def _warn(self) -> None:
        self._warning = True
        self._warn_handlers()

    def _warn_handlers(self) -> None:
        """Make the file for programs that poll; SIGUSR1, once, to all that handle it by now."""
        path = carried.preemption_file(self._run_dir, self._attempt)
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))
        except OSError as error:  # tried again as long as ranks are there
            self._tell_trouble(f"{_words(error)}; programs that poll for this file do not know yet")
        fresh = (pid for pid in self._programs() if pid not in self._warned)
        handlers = processes.handlers_of(_signal.SIGUSR1, fresh)
        processes.send(_signal.SIGUSR1, handlers)
        self._warned.update(handlers)
        if handlers:
            self.tell("warned", ranks=self._warned_ranks())

    def _warned_ranks(self) -> list[int]:
        families = self._families()
        return [
            wrapper.rank
            for wrapper in self._running()
            if wrapper.rank is not None and self._warned & set(families[wrapper.pid])
        ]

    def _stop(self) -> None:
        """SIGTERM to the agent itself: a newer attempt, or the pod's end, takes the host."""
        self.tell("stopped")
        self._finish()

    def _finish(self) -> None:
        """End what is left of this attempt here, pass on the last words, and end."""
        self._release()
        leave_at = time.monotonic() + _GOING_SECONDS
        while self._left() and time.monotonic() < leave_at:
            self._drain_streams()
            time.sleep(0.01)
        ended = processes.end(self._left, within_seconds=_LEFTOVER_SECONDS)
        self._drain_streams()
        for wrapper in list(self._wrappers.values()):
            while self._hear(wrapper):
                pass
        self.tell("finished", ended=len(ended))
        self._over = True

    def _left(self) -> list[int]:
        there = processes.attempts(self._run_dir)
        return [pid for pid, attempt in there.items() if attempt == self._attempt]

    def _close(self) -> None:
        if self._cut_off and processes.name_of(os.getppid()) == "sshd":
            processes.send(_signal.SIGTERM, [os.getppid()])  # its timeouts come much later
        self._outgoing.flush(within_seconds=FLUSH_SECONDS)
        for path in (
            f"{self._run_dir}/{carried.agent_socket(self._attempt)}",
            carried.preemption_file(self._run_dir, self._attempt),
        ):
            processes.remove_file(path)

    # -- ranks ----------------------------------------------------------------------------------

    def _running(self) -> list[Wrapper]:
        return [w for w in self._wrappers.values() if w.pid and not w.ended]

    def _programs(self) -> list[int]:
        """Return the pids of the ranks' programs and of all that those have started."""
        return [pid for family in self._families().values() for pid in family]

    def _families(self) -> dict[int, list[int]]:
        return processes.families(wrapper.pid for wrapper in self._running())

    def _accept(self) -> None:
        assert self._listener is not None  # noqa: S101 - only called for its descriptor
        descriptor, _ = self._listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001
        wrapper = Wrapper(_socket.socket(fileno=descriptor))
        self._wrappers[descriptor] = wrapper
        self._register(descriptor, lambda: self._hear(wrapper))

    def _hear(self, wrapper: Wrapper) -> bool:
        """Take one message of a wrapper, or its end; return whether there may be more."""
        try:
            message, descriptors = wrapper.receive()
        except BlockingIOError:
            return False
        if message is None:
            self._leave(wrapper)
            return False
        event, fields = message
        if event == "start":
            self._take_start(wrapper, fields, descriptors)
            return True
        if event == "running":
            wrapper.pid = int(str(fields["pid"]))
        elif event == "exit":
            wrapper.ended = True
            self._drain_streams()
        self.tell(event, **{**fields, "rank": wrapper.rank, "job": wrapper.job})
        return True

    def _take_start(
        self, wrapper: Wrapper, fields: dict[str, object], descriptors: list[int]
    ) -> None:
        wrapper.rank = int(str(fields["rank"]))
        wrapper.job = str(fields.get("job", ""))
        for stream, descriptor in enumerate(descriptors, start=1):
            os.set_blocking(descriptor, False)
            self._streams[descriptor] = RankStream(wrapper.rank, stream, descriptor)
            self._register(descriptor, lambda d=descriptor: self._pass_on(d))  # type: ignore[misc]
            if self._paused:
                self._poll.unregister(descriptor)
        environ = {k[4:]: fields.pop(k) for k in list(fields) if k.startswith("env.")}
        versions = versions_on_path(str(environ.get("PATH", "")))
        named = environ.pop("TZ", None)
        zone = offset_of_zone(None if named is None else str(named))
        self.tell("start", **fields, env=environ, versions=versions, zone=zone)
        if self._open:
            wrapper.go(self._told, first=False)
        if self._held:
            wrapper.tell(carried.HOLD)

    def _leave(self, wrapper: Wrapper) -> None:
        """A wrapper is gone; without a word of how its program ended that is news."""
        descriptor = wrapper.descriptor
        self._forget(descriptor)
        self._wrappers.pop(descriptor, None)
        if wrapper.rank is not None and not wrapper.ended:
            self.tell("vanished", rank=wrapper.rank, job=wrapper.job, time=time.time())
        wrapper.close()

    def _pass_on(self, descriptor: int) -> bool:
        """Pass on what a rank wrote; return whether there may be more."""
        stream = self._streams[descriptor]
        for data in stream.read():
            frame = frames.format_output(stream.rank, stream.number, data)
            self._outgoing.put(frame, at_once=False)
        if stream.ended:
            self._forget(descriptor)
            del self._streams[descriptor]
            os.close(descriptor)
        return stream.more

    def _drain_streams(self) -> None:
        for descriptor in list(self._streams):
            while descriptor in self._streams and self._pass_on(descriptor):
                self._outgoing.flush(within_seconds=FLUSH_SECONDS)

    def _tell_progress(self) -> None:
        ranks, families = {}, self._families()
        for wrapper in self._running():
            pids = families[wrapper.pid]
            step = carried.progress_file(self._run_dir, self._attempt, str(wrapper.rank))
            cpu_seconds = round(processes.cpu_seconds(pids), 2)
            state = "T" if any(map(processes.is_stopped, pids)) else "R"
            ranks[str(wrapper.rank)] = [cpu_seconds, processes.read_text(step)[:32], state]
        stopped = [pid for pid in self._left() if processes.is_stopped(pid)]
        daemons = [processes.name_of(pid) for pid in stopped]
        known = ("orted", "prted", "mpirun", "prterun")
        self.tell("progress", ranks=ranks, stopped=[n for n in daemons if n in known])


def _words(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)
