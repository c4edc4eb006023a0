"""What the images have under the names of Open MPI's launchers, horovodrun, sshd and as ENTRYPOINT.

Operators replace an image's ENTRYPOINT, so our work has to hang on the programs that they call,
by whatever name and path. Without evidence of an operator a shim is the plain program.

Layer: effects (exec); heavy modules are imported only once it is clear that they are needed.
"""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from mpijob_runtime.early import launcher_outlets, leave, worker_outlets
from mpijob_runtime.errors import ProgramNotFoundError, UsageError
from mpijob_runtime.first_process import restore_environ
from mpijob_runtime.operators import HOSTFILE
from mpijob_runtime.outermost import run_program
from mpijob_runtime.settings import Flags, Settings

_QUESTIONS = frozenset({"-h", "--help", "-help", "-V", "--version", "-version"})
_DAEMONS_ONLY = "prte"
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
_OF_A_SINGLETON = "--no-ready-msg"
"""How Open MPI 5.0 starts daemons for a program without mpirun that calls MPI_Comm_spawn."""


def mpirun() -> int:
    """Run a user's ``mpirun …`` as a launch, its arguments left as they are.

    All names of Open MPI's launchers are this function; each starts ranks as mpirun does, but
    ``prte``, which starts daemons to be given jobs later.
    """
    restore_environ(os.environ)
    return run_program(_mpirun, os.environ, launcher_outlets(os.environ))


def horovodrun() -> int:
    """Run a user's ``horovodrun …`` as a launch; without a job it is Horovod's own launcher."""
    restore_environ(os.environ)
    return run_program(_horovodrun, os.environ, launcher_outlets(os.environ))


def sshd() -> int:
    """Run a worker's ``sshd …`` under supervision, with the job's key."""
    return run_program(_sshd, os.environ, worker_outlets(os.environ))


def entrypoint() -> NoReturn:
    """Become the command."""
    argv = sys.argv[1:] or ["mpijob-runtime", "--help"]
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - the container's command, as given
    except OSError as error:
        code = _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
        leave(worker_outlets(os.environ), code, f"{argv[0]}: {error.strerror}")
        sys.exit(code)


def _mpirun() -> int:
    name, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
    settings = _read_settings()
    asks = arguments[0] in _QUESTIONS if arguments else name != _DAEMONS_ONLY
    if asks or not _is_launcher(settings):
        if not asks:
            _say_if_off(settings, name)
        _exec_plain(settings, name, arguments)
    if name == _DAEMONS_ONLY or _OF_A_SINGLETON in arguments:
        raise _daemons_only()
    from mpijob_runtime.console import Console
    from mpijob_runtime.launch import launch

    console = Console(log_format=settings.log_format)
    return launch(settings, arguments, console=console, verbatim=True)


def _horovodrun() -> int:
    arguments = sys.argv[1:]
    settings = _read_settings()
    from mpijob_runtime.console import Console
    from mpijob_runtime.horovodrun import parse_horovodrun, plain_argv

    if not _is_launcher(settings):
        _say_if_off(settings, "horovodrun")
        argv = plain_argv(arguments)
        os.execv(argv[0], argv)  # noqa: S606 - this Python, with the arguments that were given
    line = parse_horovodrun(arguments)
    from mpijob_runtime.launch import launch

    settings = _read_settings(flags=line.flags)
    console = Console(log_format=settings.log_format, least="debug" if line.verbose else "info")
    return launch(settings, line.program, console=console)


def _sshd() -> int:
    arguments = sys.argv[1:]
    settings = _read_settings(program="sshd")
    from mpijob_runtime import worker
    from mpijob_runtime.console import Console
    from mpijob_runtime.probes.keys import find_job_key
    from mpijob_runtime.probes.system import probe_user

    asks = worker.only_asks(arguments)
    if not asks:
        _say_if_off(settings, "sshd")
    plain = asks or not settings.shim or settings.inside
    if plain or find_job_key(settings, probe_user()) is None:
        path = worker.find_sshd()
        os.execv(path, (path, *arguments))  # noqa: S606 - sshd wants an absolute argv[0]
    console = Console(log_format=settings.log_format)
    return worker.run_worker(settings, arguments, console=console)


def _read_settings(program: str = "", flags: Flags | None = None) -> Settings:
    return Settings.from_environ(
        os.environ,
        flags=flags,
        hostfile_exists=os.path.exists(HOSTFILE),
        output="prefix" if flags else "plain",
        program=program,
    )


def _is_launcher(settings: Settings) -> bool:
    active = settings.shim and not settings.inside
    return active and settings.operator.role == "launcher"


def _daemons_only() -> UsageError:
    """Return why daemons without a job are refused: nobody would see where their ranks are."""
    return UsageError(
        f"{_DAEMONS_ONLY}: found in a job's launcher, wanted mpirun: daemons that are to be given "
        "ranks later would run all of them here",
        remedy="start the program by `mpirun -n RANKS PROGRAM`, also one that calls "
        "MPI_Comm_spawn; MPIJOB_SHIM=off gives the plain one",
    )


def _say_if_off(settings: Settings, name: str) -> None:
    """Say that a program is the plain one because somebody has switched its shim off."""
    if not settings.shim and not settings.inside:
        from mpijob_runtime.console import Console

        message = f"MPIJOB_SHIM=off: {name} is the plain one, and nothing checks what comes of it"
        Console(log_format=settings.log_format).warning(message)


def _exec_plain(settings: Settings, name: str, arguments: Sequence[str]) -> NoReturn:
    """Become the real program.

    It is not told its path: Open MPI 4.1 would take the path for the prefix of all hosts.
    """
    from mpijob_runtime.probes.mpi import find_real_program

    path = find_real_program(name, settings.environ.get("PATH", os.defpath))
    if path is None:
        raise ProgramNotFoundError(f"no real {name} on PATH behind this shim")
    os.execv(path, (name, *arguments))  # noqa: S606 - the very program that was asked for
