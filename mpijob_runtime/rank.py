"""The thin wrapper around each rank: torch's variables, parent-death signal, records.

Open MPI's daemon starts this in place of the program (``orte_fork_agent`` in 4.1,
``odls_base_exec_agent`` in 5.0). It stays as the program's parent, because only a parent learns
how a process ended, and it writes what it learns to a file on its own host.

Every rank pays for this module before its program starts: it imports no more than it must, and
the rest only once the program runs.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time

from mpijob_runtime import carried
from mpijob_runtime.run_dir import choose_run_dir

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
    torch's variables fill gaps only.

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
    environ[carried.INSIDE] = "1"
    return environ


def read_container_environ(run_dir: str) -> dict[str, str]:
    """Return the environment that the worker's supervisor was started with, or nothing.

    An sshd session knows nothing of its container's variables, and sshd_config's SetEnv cannot
    carry a newline; the kernel shows them to the same user without a copy on any disk.
    """
    try:
        with open(f"{run_dir}/{carried.WORKER_PID}", encoding="ascii") as file:
            pid = int(file.read())
        with open(f"/proc/{pid}/environ", "rb") as file:
            pairs = file.read().split(b"\0")
    except (OSError, ValueError):
        return {}
    decoded = (os.fsdecode(pair).partition("=") for pair in pairs if b"=" in pair)
    return {name: value for name, _, value in decoded}


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
    environ = rank_environ(os.environ, read_container_environ(run_dir))
    libc = ctypes.CDLL(None)
    _die_with_parent(libc, os.getppid())
    program = find_program(argv[0], environ.get("PATH", os.defpath)) if argv else None
    started = (time.time(), time.monotonic())
    if program is None:
        child, status = 0, _NOT_FOUND << 8
        _complain(environ, f"program not found: {argv[0] if argv else '(none)'}")
    else:
        former = [(s, libc.signal(s, ctypes.c_void_p(_SIG_IGN))) for s in _FOR_THE_PROGRAM]
        wrapper = os.getpid()
        child = os.fork()
        if child == 0:
            _die_with_parent(libc, wrapper)
            _exec(libc, former, program, argv, environ)
    records = _Records(run_dir, environ, child)
    records.write("start", started)
    if child:
        _leave_streams_to_the_program()
        status = os.waitpid(child, 0)[1]
    records.write_exit(status)
    _end_alike(libc, status)


def _exec(
    libc: ctypes.CDLL,
    former: list[tuple[int, int]],
    program: str,
    argv: list[str],
    environ: dict[str, str],
) -> NoReturn:
    """Become the program, with the signal dispositions that the daemon gave."""
    for number, disposition in former:
        kept = _SIG_IGN if disposition == _SIG_IGN else _SIG_DFL
        libc.signal(number, ctypes.c_void_p(kept))
    for number in _IGNORED_BY_PYTHON:
        libc.signal(number, ctypes.c_void_p(_SIG_DFL))
    try:
        os.execve(program, argv, environ)  # noqa: S606 - the program that the job is for
    except OSError as error:
        _complain(environ, f"cannot run {program}: {error.strerror}")
        os._exit(_NOT_EXECUTABLE)


def _die_with_parent(libc: ctypes.CDLL, parent: int) -> None:
    """Ask for SIGKILL when the parent ends; end now if it already has."""
    libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(128 + _SIGKILL)


def _complain(environ: Mapping[str, str], message: str) -> None:
    rank = environ.get("OMPI_COMM_WORLD_RANK", "?")
    line = f"mpijob: rank {rank} on {os.uname().nodename}: {message}\n"
    os.write(2, line.encode(errors="backslashreplace"))


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


class _Records:
    """Appends this rank's lines to its host's file; a line is one write, so lines never mix."""

    def __init__(self, run_dir: str, environ: Mapping[str, str], pid: int) -> None:
        self._path = carried.records_file(run_dir, environ.get(carried.ATTEMPT, "none"))
        self._same = {
            "rank": int(environ.get("OMPI_COMM_WORLD_RANK", "-1")),
            "world_size": int(environ.get("OMPI_COMM_WORLD_SIZE", "-1")),
            "local_rank": int(environ.get("OMPI_COMM_WORLD_LOCAL_RANK", "-1")),
            "host": os.uname().nodename,
            "pid": pid,
            "boot_id": _read("/proc/sys/kernel/random/boot_id").strip(),
        }
        self._oom_kills = _oom_kills()

    def write(self, event: str, times: tuple[float, float], **more: object) -> None:
        import json  # only now: the program runs already

        wall, monotonic = times
        line = {"event": event, **self._same, "time": wall, "monotonic": monotonic, **more}
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            descriptor = os.open(self._path, flags, 0o600)
            os.write(descriptor, json.dumps(line).encode() + b"\n")
            os.close(descriptor)
        except OSError as error:
            message = f"mpijob: no record of rank {self._same['rank']}: {error}\n"
            os.write(2, message.encode())

    def write_exit(self, status: int) -> None:
        signalled = os.WIFSIGNALED(status)
        self.write(
            "exit",
            (time.time(), time.monotonic()),
            exit_code=None if signalled else os.WEXITSTATUS(status),
            signal=os.WTERMSIG(status) if signalled else None,
            oom_kills=_oom_kills() - self._oom_kills if signalled else 0,
        )


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
