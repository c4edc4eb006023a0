"""What the images have under the names of Open MPI's launchers, horovodrun, sshd and as ENTRYPOINT.

Operators replace an image's ENTRYPOINT, so our work has to hang on the programs that they call,
by whatever name and path. Without evidence of an operator a shim is the plain program.

Layer: effects (exec); heavy modules are imported only once it is clear that they are needed.
"""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from mpijob_runtime.first_process import restore_environ
from mpijob_runtime.operators import HOSTFILE
from mpijob_runtime.settings import Flags, Settings, read_log_format

if TYPE_CHECKING:
    from mpijob_runtime.console import Console

_QUESTIONS = frozenset({"-h", "--help", "-help", "-V", "--version", "-version"})
_DAEMONS_ONLY = "prte"
_OF_A_SINGLETON = "--no-ready-msg"
"""How Open MPI 5.0 starts daemons for a program without mpirun that calls MPI_Comm_spawn."""


def mpirun() -> int:
    """Run a user's ``mpirun …`` as a launch, its arguments left as they are.

    All names of Open MPI's launchers are this function; each starts ranks as mpirun does, but
    ``prte``, which starts daemons to be given jobs later.
    """
    name, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
    settings = _read_settings()
    asks = arguments[0] in _QUESTIONS if arguments else name != _DAEMONS_ONLY
    if asks or not _is_launcher(settings):
        if not asks:
            _say_if_off(settings, name)
        _exec_plain(settings, name, arguments)
    from mpijob_runtime.console import Console
    from mpijob_runtime.launch import launch

    console = Console(log_format=settings.log_format)
    if name == _DAEMONS_ONLY or _OF_A_SINGLETON in arguments:
        return _refuse_daemons(settings, console)
    return launch(settings, arguments, console=console, verbatim=True)


def horovodrun() -> int:
    """Run a user's ``horovodrun …`` as a launch; without a job it is Horovod's own launcher."""
    arguments = sys.argv[1:]
    settings = _read_settings()
    from mpijob_runtime.console import Console
    from mpijob_runtime.errors import MpiJobError
    from mpijob_runtime.horovodrun import parse_horovodrun, plain_argv

    if not _is_launcher(settings):
        _say_if_off(settings, "horovodrun")
        argv = plain_argv(arguments)
        os.execv(argv[0], argv)  # noqa: S606 - this Python, with the arguments that were given
    console = Console(log_format=settings.log_format)
    try:
        line = parse_horovodrun(arguments)
    except MpiJobError as error:
        console.error(str(error))
        _leave_word(settings, str(error))
        return error.exit_code
    from mpijob_runtime.launch import launch

    settings = _read_settings(flags=line.flags)
    console = Console(log_format=settings.log_format, least="debug" if line.verbose else "info")
    return launch(settings, line.program, console=console)


def sshd() -> int:
    """Run a worker's ``sshd …`` under supervision, with the job's key."""
    arguments = sys.argv[1:]
    settings = _read_settings(program="sshd")
    from mpijob_runtime import worker
    from mpijob_runtime.console import Console
    from mpijob_runtime.errors import MpiJobError
    from mpijob_runtime.probes.keys import find_job_key
    from mpijob_runtime.probes.system import probe_user

    console = Console(log_format=settings.log_format)
    try:
        asks = worker.only_asks(arguments)
        if not asks:
            _say_if_off(settings, "sshd")
        plain = asks or not settings.shim or settings.inside
        if plain or find_job_key(settings, probe_user()) is None:
            path = worker.find_sshd()
            os.execv(path, (path, *arguments))  # noqa: S606 - sshd wants an absolute argv[0]
        return worker.run_worker(settings, arguments, console=console)
    except MpiJobError as error:
        console.error(str(error))
        _leave_word(settings, str(error))
        return error.exit_code


def entrypoint() -> NoReturn:
    """Give this user a name if it needs one, then become the command."""
    from mpijob_runtime.errors import MpiJobError
    from mpijob_runtime.probes.system import probe_user
    from mpijob_runtime.user_entry import ensure_user_entry

    try:
        ensure_user_entry(probe_user(), home=os.environ.get("HOME"))
    except MpiJobError as error:  # plain programs run without a name, too
        sys.stderr.write(f"mpijob: warning: {error}\n")
    argv = sys.argv[1:] or ["mpijob-runtime", "--help"]
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - the container's command, as given
    except OSError as error:
        sys.stderr.write(f"mpijob: {argv[0]}: {error.strerror}\n")
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)


def _read_settings(program: str = "", flags: Flags | None = None) -> Settings:
    from mpijob_runtime.console import Console
    from mpijob_runtime.errors import MpiJobError

    restore_environ(os.environ)
    try:
        exists = os.path.exists(HOSTFILE)
        return Settings.from_environ(
            os.environ,
            flags=flags,
            hostfile_exists=exists,
            output="prefix" if flags else "plain",
            program=program,
        )
    except MpiJobError as error:
        Console(log_format=read_log_format(os.environ)).error(str(error))
        sys.exit(error.exit_code)


def _is_launcher(settings: Settings) -> bool:
    active = settings.shim and not settings.inside
    return active and settings.operator.role == "launcher"


def _refuse_daemons(settings: Settings, console: "Console") -> int:
    """Refuse daemons without a job: none would be on a worker, and nobody would see their ranks."""
    from mpijob_runtime.errors import UsageError

    error = UsageError(
        f"{_DAEMONS_ONLY}: found in a job's launcher, wanted mpirun: daemons that are to be given "
        "ranks later would run all of them here",
        remedy="start the program by `mpirun -n RANKS PROGRAM`, also one that calls "
        "MPI_Comm_spawn; MPIJOB_SHIM=off gives the plain one",
    )
    console.error(str(error))
    _leave_word(settings, str(error))
    return error.exit_code


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
        sys.stderr.write(f"mpijob: error: no real {name} on PATH behind this shim\n")
        sys.exit(127)
    os.execv(path, (name, *arguments))  # noqa: S606 - the very program that was asked for


def _leave_word(settings: Settings, text: str) -> None:
    """Write why a container cannot start where ``kubectl describe`` shows it."""
    from mpijob_runtime.outcome import cut_text

    try:
        with open(settings.termination_log, "r+b") as file:
            file.write(cut_text(text + "\n"))
            file.truncate()
    except OSError:
        return
