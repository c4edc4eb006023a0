"""What the images have under the names mpirun, mpiexec, horovodrun, sshd and as ENTRYPOINT.

Operators replace an image's ENTRYPOINT, so our work has to hang on the programs that they call.
Without evidence of an operator a shim is the plain program.

Layer: effects (exec); heavy modules are imported only once it is clear that they are needed.
"""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from mpijob_runtime.operators import HOSTFILE
from mpijob_runtime.settings import Flags, Settings, read_log_format

_QUESTIONS = frozenset({"-h", "--help", "-help", "-V", "--version", "-version"})


def mpirun() -> int:
    """Run a user's ``mpirun …`` as a launch, its arguments left as they are."""
    name, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
    settings = _read_settings()
    if not arguments or arguments[0] in _QUESTIONS or not _is_launcher(settings):
        _exec_plain(settings, name, arguments)
    from mpijob_runtime.console import Console
    from mpijob_runtime.launch import launch

    console = Console(log_format=settings.log_format)
    return launch(settings, arguments, console=console, verbatim=True)


def horovodrun() -> int:
    """Run a user's ``horovodrun …`` as a launch; without a job it is Horovod's own launcher."""
    arguments = sys.argv[1:]
    settings = _read_settings()
    from mpijob_runtime.console import Console
    from mpijob_runtime.errors import MpiJobError
    from mpijob_runtime.horovodrun import parse_horovodrun, plain_argv

    if not _is_launcher(settings):
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
        plain = worker.only_asks(arguments) or not settings.shim or settings.inside
        if plain or find_job_key(settings, probe_user()) is None:
            path = worker.find_sshd()
            os.execv(path, (path, *arguments))  # noqa: S606 - sshd wants an absolute argv[0]
        return worker.run_worker(settings, arguments, console=console)
    except MpiJobError as error:
        console.error(str(error))
        _leave_word(settings, str(error))
        return error.exit_code


def entrypoint() -> NoReturn:
    """Become the command."""
    argv = sys.argv[1:] or ["mpijob-runtime", "--help"]
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - the container's command, as given
    except OSError as error:
        sys.stderr.write(f"mpijob: {argv[0]}: {error.strerror}\n")
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)


def _read_settings(program: str = "", flags: Flags | None = None) -> Settings:
    from mpijob_runtime.console import Console
    from mpijob_runtime.errors import MpiJobError

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


def _exec_plain(settings: Settings, name: str, arguments: Sequence[str]) -> NoReturn:
    from mpijob_runtime.probes.mpi import find_real_program

    path = find_real_program(name, settings.environ.get("PATH", os.defpath))
    if path is None:
        sys.stderr.write(f"mpijob: error: no real {name} on PATH behind this shim\n")
        sys.exit(127)
    os.execv(path, (path, *arguments))  # noqa: S606 - the very program that was asked for


def _leave_word(settings: Settings, text: str) -> None:
    """Write why a container cannot start where ``kubectl describe`` shows it."""
    from mpijob_runtime.outcome import cut_text

    try:
        with open(settings.termination_log, "r+b") as file:
            file.write(cut_text(text + "\n"))
            file.truncate()
    except OSError:
        return
