"""The thin wrapper around each rank: torch's variables, the start gate, how the rank ended.

Open MPI's daemon starts this in place of the program (``orte_fork_agent`` in 4.1,
``odls_base_exec_agent`` in 5.0). It tells its host's agent (agent.py) that it is there, waits at
the gate until the launcher knows all ranks, runs the program, and stays as its parent, because
only a parent learns how a process ended.

Every rank pays for this module before its program starts: it imports no more than it must.

Layer: effects (processes); imports carried, run_dir.
"""

from __future__ import annotations

import _signal
import _socket
import ctypes
import os
import sys
import time

from mpijob_runtime import carried
from mpijob_runtime.container_environ import read_container_environ, without_added_places
from mpijob_runtime.run_dir import at_socket, choose_run_dir

TYPE_CHECKING = False  # typing and collections.abc would cost each rank some milliseconds
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_SIG_DFL, _SIG_IGN = 0, 1
_SIGHUP, _SIGINT, _SIGQUIT, _SIGKILL, _SIGUSR1, _SIGUSR2 = 1, 2, 3, 9, 10, 12
_SIGPIPE, _SIGTERM, _SIGXFSZ = 13, 15, 25
_FOR_THE_PROGRAM = (_SIGHUP, _SIGINT, _SIGQUIT, _SIGUSR1, _SIGUSR2, _SIGTERM)
"""Daemons signal the whole process group: the program reacts, its wrapper waits for it."""

_IGNORED_BY_PYTHON = (_SIGPIPE, _SIGXFSZ)
_PR_SET_NAME = 15
_COMPARED = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "OMP_NUM_THREADS", "TZ")
_COMPARED_PREFIXES = ("NCCL_", "UCX_", "GLOO_", "FI_")
_LONGEST_VALUE = 1024
_LONGEST_WORD = 1 << 18
_TERMIOS_BYTES = 256
_LAUNCHER_GONE = 75
_OF_THE_SESSION = frozenset({"_", "SHLVL", "PWD", "OLDPWD"})
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126

_TORCH = {
    "RANK": "OMPI_COMM_WORLD_RANK",
    "WORLD_SIZE": "OMPI_COMM_WORLD_SIZE",
    "LOCAL_RANK": "OMPI_COMM_WORLD_LOCAL_RANK",
    "LOCAL_WORLD_SIZE": "OMPI_COMM_WORLD_LOCAL_SIZE",
    "MASTER_ADDR": carried.MASTER_ADDR,
    "MASTER_PORT": carried.MASTER_PORT,
}
"""torch.distributed's name -> the variable that has the value."""


def rank_environ(session: Mapping[str, str], container: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a rank.

    The daemon's environment lies over the container's; what ``--env`` carries lies over both;
    what the launcher has besides and torch's variables fill gaps only.

    Args:
        session: what the daemon gave.
        container: what the worker's container was started with; empty on the launcher.
    """
    environ = {k: v for k, v in container.items() if k not in _OF_THE_SESSION}
    environ |= {k: v for k, v in session.items() if not k.startswith("SSH_")}
    prefix = carried.ENV_PREFIX
    environ |= {k[len(prefix) :]: v for k, v in session.items() if k.startswith(prefix)}
    for name, source in _TORCH.items():
        if source in environ:
            environ.setdefault(name, environ[source])
    prefix = carried.GAP_PREFIX
    for name, value in session.items():
        if name.startswith(prefix):
            environ.setdefault(name[len(prefix) :], value)
    environ[carried.INSIDE] = "1"
    return environ


def find_program(program: str, path: str) -> str | None:
    """Return the program as execve needs it, or None if it is not there.

    A file that cannot be executed is only returned if there is no other, as execvp does it.
    """
    places = [""] if "/" in program else path.split(":")
    names = [f"{place}/{program}" if place else program for place in places]
    files = [name for name in names if os.path.isfile(name)]
    executable = (name for name in files if os.access(name, os.X_OK))
    return next(executable, files[0] if files else None)


def main() -> NoReturn:
    """Run ``sys.argv[1:]`` as a rank and end as it ends."""
    argv = sys.argv[1:]
    run_dir = choose_run_dir(os.environ.get(carried.RUN_DIR))
    session = without_added_places(os.environ)
    environ = rank_environ(session, read_container_environ(run_dir))
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NAME, carried.WRAPPER_NAME.encode(), 0, 0, 0)
    _die_with_parent(libc, os.getppid())
    program = find_program(argv[0], environ.get("PATH", os.defpath)) if argv else None
    _take_stdin(libc, environ.get(carried.STDIN, ""))
    agent = _Agent.connect(run_dir, environ)
    streams = _Streams.make(libc) if agent and environ.get(carried.STREAMS) != "mpirun" else None
    if agent:
        _add_places(environ, run_dir)
        agent.tell_start(environ, streams, found=program is not None)
        if streams:
            streams.close_reading_ends()
        _take_what_was_decided(environ, agent.wait_for_go())
    if program is None:
        child, status = 0, _NOT_FOUND << 8
        message = f"program not found: {argv[0] if argv else '(none)'}"
        _complain(environ, message, streams.errors if streams else 2)
    else:
        child, status = _start(libc, program, argv, environ, streams), _NOT_EXECUTABLE << 8
    if child:
        if agent:
            agent.tell("running", pid=child)
        _leave_streams_to_the_program()
        if streams:
            streams.close_writing_ends()
        status = os.waitpid(child, 0)[1]
    if agent:
        agent.tell_exit(status)
        agent.wait_while_held()
    _end_alike(libc, status)


def _take_stdin(libc: ctypes.CDLL, told: str) -> None:
    """See to it that the program's stdin has an end: from Open MPI 5.0 none ever comes."""
    if told == carried.NO_STDIN:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
    elif told and os.fstat(0).st_rdev != os.stat(os.devnull).st_rdev:
        reading, writing = os.pipe()
        wrapper = os.getpid()
        if os.fork() == 0:
            _die_with_parent(libc, wrapper)
            os.closerange(1, writing)
            pass_on_stdin(writing, told.encode())
        os.dup2(reading, 0)
        os.close(reading)
        os.close(writing)


def pass_on_stdin(target: int, mark: bytes) -> NoReturn:
    """Copy stdin up to the mark that tells its end, and end."""
    for number in _FOR_THE_PROGRAM:
        _signal.signal(number, _signal.SIG_IGN)
    kept, ended = b"", False
    with suppress_os_error():  # a program that has closed its stdin takes no more
        while not ended:
            data = os.read(0, 65536)
            kept += data
            ended = mark in kept or not data
            sure = kept.partition(mark)[0] if ended else kept[: _end_of_sure(kept, mark)]
            kept = kept[len(sure) :]
            while sure:
                sure = sure[os.write(target, sure) :]
    os._exit(0)


def _end_of_sure(data: bytes, mark: bytes) -> int:
    """Return up to where data cannot be the beginning of the mark."""
    longest = min(len(data), len(mark) - 1)
    held = (size for size in range(longest, 0, -1) if data.endswith(mark[:size]))
    return len(data) - next(held, 0)


def _take_what_was_decided(environ: dict[str, str], decided: dict[str, str]) -> None:
    """Fill gaps of the environment, and take the processors that were chosen.

    ``NAME!OTHER`` is for a rank that has no ``OTHER`` of its own.
    """
    given = frozenset(environ)
    for key, value in decided.items():
        name, *unless = key.split("!")
        if not given.isdisjoint(unless):
            continue
        if name == carried.CPUS:
            _bind({int(cpu) for cpu in value.split(",")})
        else:
            environ.setdefault(name, value)


def _bind(cpus: set[int]) -> None:
    """Leave this rank only these processors, unless mpirun was asked to bind it."""
    if cpus < os.sched_getaffinity(0):
        with suppress_os_error():  # the cpuset may have changed: unbound is slower, not wrong
            os.sched_setaffinity(0, cpus)


def _start(
    libc: ctypes.CDLL,
    program: str,
    argv: list[str],
    environ: dict[str, str],
    streams: _Streams | None,
) -> int:
    """Start the program as our child and return its pid; 0 if no process more is allowed.

    Signals for it wait until it has its own dispositions: a SIGTERM must not get lost in between.
    """
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, _FOR_THE_PROGRAM)
    former = [(s, libc.signal(s, ctypes.c_void_p(_SIG_IGN))) for s in _FOR_THE_PROGRAM]
    wrapper = os.getpid()
    try:
        child = os.fork()
    except OSError as error:
        message = f"cannot start {program}: {error.strerror}"
        _complain(environ, message, streams.errors if streams else 2)
        return 0
    if child == 0:
        _die_with_parent(libc, wrapper)
        if streams:
            streams.become_standard()
        _take_back_signals(libc, former)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
        _exec(program, argv, environ)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
    return child


def _add_places(environ: dict[str, str], run_dir: str) -> None:
    """Tell the program where it may write its step, and how it learns that it is to end."""
    attempt, rank = environ[carried.ATTEMPT], environ.get("OMPI_COMM_WORLD_RANK", "0")
    environ[carried.PROGRESS_FILE] = carried.progress_file(run_dir, attempt, rank)
    environ[carried.PREEMPTION_FILE] = carried.preemption_file(run_dir, attempt)


def _take_back_signals(libc: ctypes.CDLL, former: list[tuple[int, int]]) -> None:
    """Give the program the signal dispositions that the daemon gave."""
    for number, disposition in former:
        kept = _SIG_IGN if disposition == _SIG_IGN else _SIG_DFL
        libc.signal(number, ctypes.c_void_p(kept))
    for number in _IGNORED_BY_PYTHON:
        libc.signal(number, ctypes.c_void_p(_SIG_DFL))
    # the first word of an ending job: who does not know it must not die of it
    libc.signal(_SIGUSR1, ctypes.c_void_p(_SIG_IGN))


def _exec(program: str, argv: list[str], environ: dict[str, str]) -> NoReturn:
    """Become the program."""
    try:
        os.execve(program, argv, environ)  # noqa: S606 - the program that the job is for
    except OSError as error:
        _signal.signal(_SIGPIPE, _signal.SIG_IGN)  # the code must not depend on who reads
        _complain(environ, f"cannot run {program}: {error.strerror}")
        os._exit(_NOT_EXECUTABLE)


def _die_with_parent(libc: ctypes.CDLL, parent: int) -> None:
    """Ask for SIGKILL when the parent ends; end now if it already has."""
    libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(128 + _SIGKILL)


def _complain(environ: Mapping[str, str], message: str, descriptor: int = 2) -> None:
    rank = environ.get("OMPI_COMM_WORLD_RANK", "?")
    line = f"mpijob: rank {rank} on {os.uname().nodename}: {message}\n"
    with suppress_os_error():  # nobody reads it: the exit code says the same
        os.write(descriptor, line.encode(errors="backslashreplace"))


def _leave_streams_to_the_program() -> None:
    """Close our ends of the pipes, so that the daemon sees when the program closes its own."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)


def _end_alike(libc: ctypes.CDLL, status: int) -> NoReturn:
    """End with the program's exit code, or by the signal that ended it, without a core file."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        libc.signal(number, ctypes.c_void_p(_SIG_DFL))
        os.kill(os.getpid(), number)
        time.sleep(1)
        os._exit(128 + number)
    os._exit(os.WEXITSTATUS(status))


class _Streams:
    """The program's stdout and stderr, whose other ends go to the agent.

    stdout is a terminal in raw mode, as under Open MPI itself, so that programs flush line by
    line; where no terminal can be had it is a pipe.
    """

    def __init__(self, reading: tuple[int, int], writing: tuple[int, int]) -> None:
        self.reading = reading
        self._writing = writing

    @classmethod
    def make(cls, libc: ctypes.CDLL) -> _Streams:
        errors = os.pipe()
        try:
            output = os.openpty()
        except OSError:
            output = os.pipe()
        else:
            settings = ctypes.create_string_buffer(_TERMIOS_BYTES)
            libc.tcgetattr(output[1], settings)
            libc.cfmakeraw(settings)
            libc.tcsetattr(output[1], 0, settings)
        return cls((output[0], errors[0]), (output[1], errors[1]))

    def close_reading_ends(self) -> None:
        for descriptor in self.reading:
            os.close(descriptor)

    def close_writing_ends(self) -> None:
        for descriptor in self._writing:
            os.close(descriptor)

    def become_standard(self) -> None:
        for standard, descriptor in zip((1, 2), self._writing, strict=True):
            os.dup2(descriptor, standard)

    @property
    def errors(self) -> int:
        """The end of stderr that the program has."""
        return self._writing[1]


class _Agent:
    """This host's agent, as the wrapper talks to it: one packet is one message.

    A message is ``event`` and ``name=value`` fields with NUL between them: json would cost each
    rank some milliseconds.
    """

    def __init__(self, connection: _socket.socket) -> None:
        self._connection = connection
        self._oom_kills = _oom_kills()
        self._held = False

    @classmethod
    def connect(cls, run_dir: str, environ: Mapping[str, str]) -> _Agent | None:
        """Return the agent of this attempt, or None if there is none on this host."""
        attempt = environ.get(carried.ATTEMPT)
        if not attempt:
            return None
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        try:
            at_socket(run_dir, carried.agent_socket(attempt), connection.connect)
        except OSError:
            connection.close()
            return None
        return cls(connection)

    def tell_start(
        self, environ: Mapping[str, str], streams: _Streams | None, *, found: bool
    ) -> None:
        compared = {
            f"env.{name}": value[:_LONGEST_VALUE]
            for name, value in environ.items()
            if name in _COMPARED or name.startswith(_COMPARED_PREFIXES)
        }
        fields = {
            "rank": environ.get("OMPI_COMM_WORLD_RANK", "-1"),
            "world_size": environ.get("OMPI_COMM_WORLD_SIZE", "-1"),
            "local_rank": environ.get("OMPI_COMM_WORLD_LOCAL_RANK", "-1"),
            "found": int(found),
            "directory": _working_directory(),
            "job": environ.get("PMIX_NAMESPACE") or environ.get("OMPI_MCA_orte_ess_jobid", ""),
            **compared,
        }
        self.tell("start", descriptors=streams.reading if streams else (), **fields)

    def tell_exit(self, status: int) -> None:
        if os.WIFSIGNALED(status):
            kills = _oom_kills() - self._oom_kills
            self.tell("exit", signal=os.WTERMSIG(status), oom_kills=kills)
        else:
            self.tell("exit", exit_code=os.WEXITSTATUS(status))

    def tell(self, event: str, *, descriptors: tuple[int, ...] = (), **fields: object) -> None:
        fields = {"time": time.time(), "monotonic": time.monotonic(), **fields}
        text = "\0".join([event, *(f"{name}={value}" for name, value in fields.items())])
        rights = b"".join(d.to_bytes(4, sys.byteorder) for d in descriptors)
        ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)] if rights else []
        with suppress_os_error():
            self._connection.sendmsg([os.fsencode(text)], ancillary)

    def wait_for_go(self) -> dict[str, str]:
        """Wait until the launcher knows where all ranks are; return what it says of this one.

        Ends if the launcher is gone.
        """
        while (told := self._receive().split(b"\0"))[0] != carried.GO:
            if told == [b""]:
                with suppress_os_error():
                    os.write(2, b"mpijob: this host's agent is gone, and with it the launcher\n")
                os._exit(_LAUNCHER_GONE)
            self._held = told == [carried.HOLD]
        pairs = (item.decode().partition("=") for item in told[1:])
        return {name: value for name, _, value in pairs}

    def wait_while_held(self) -> None:
        """Stay until the others have ended, if the job is being ended: else mpirun kills them."""
        held = self._held
        self._connection.setblocking(held)
        while (told := self._receive()) not in (b"", carried.RELEASE):
            held = held or told == carried.HOLD
            self._connection.setblocking(held)

    def _receive(self) -> bytes:
        """Return the next message; nothing if the agent is gone or has said nothing."""
        try:
            return self._connection.recv(_LONGEST_WORD)
        except OSError:
            return b""


class suppress_os_error:  # noqa: N801 - as contextlib.suppress, whose import costs a millisecond
    """Leave out what the agent, if it is gone, can not be told."""

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, OSError)


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # somebody has removed it
        return ""


def _oom_kills() -> int:
    """Return how many processes of this cgroup the kernel has killed for memory (v2, then v1)."""
    places = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
    for line in "\n".join(_read(place) for place in places).splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return 0


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""


if __name__ == "__main__":
    main()
