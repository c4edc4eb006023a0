"""What the images have under the names mpirun, mpiexec, horovodrun, sshd and as ENTRYPOINT.

Operators replace an image's ENTRYPOINT, so our work has to hang on the programs that they call.
Without evidence of an operator a shim is the plain program.

Layer: effects (exec); heavy modules are imported only once it is clear that they are needed.
"""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from mpijob_runtime.early import launcher_outlets, leave, worker_outlets
from mpijob_runtime.errors import ProgramNotFoundError
from mpijob_runtime.operators import HOSTFILE
from mpijob_runtime.outermost import run_program
from mpijob_runtime.settings import Flags, Settings

_QUESTIONS = frozenset({"-h", "--help", "-help", "-V", "--version", "-version"})
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126


def mpirun() -> int:
    """Run a user's ``mpirun …`` as a launch, its arguments left as they are."""
    return run_program(_mpirun, os.environ, launcher_outlets(os.environ))


def horovodrun() -> int:
    """Run a user's ``horovodrun …`` as a launch; without a job it is Horovod's own launcher."""
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
    if not arguments or arguments[0] in _QUESTIONS or not _is_launcher(settings):
        _exec_plain(settings, name, arguments)
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

    plain = worker.only_asks(arguments) or not settings.shim or settings.inside
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


def _exec_plain(settings: Settings, name: str, arguments: Sequence[str]) -> NoReturn:
    from mpijob_runtime.probes.mpi import find_real_program

    path = find_real_program(name, settings.environ.get("PATH", os.defpath))
    if path is None:
        raise ProgramNotFoundError(f"no real {name} on PATH behind this shim")
    os.execv(path, (path, *arguments))  # noqa: S606 - the very program that was asked for
