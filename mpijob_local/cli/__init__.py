"""The command line: one file per subcommand, errors and exit codes here.

Layer: top; nothing imports it.
"""

import os
import sys

import click

from mpijob_local import __version__
from mpijob_local.cli.build import build
from mpijob_local.cli.down import down
from mpijob_local.cli.logs import logs
from mpijob_local.cli.podman import podman
from mpijob_local.cli.ps import ps
from mpijob_local.cli.run import run
from mpijob_local.settings import LocalSettings
from mpijob_local.signals import Interrupted, interruptible
from mpijob_runtime.errors import MpiJobError, UsageError

_PROGRAM = "mpijob-local"
_SIGPIPE_EXIT = 141


@click.group(
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: the launcher's own; 64 usage, 65 manifest, 78 configuration, 124 --timeout,"
    " 127 program missing, 130 and 143 interrupted.",
)
@click.version_option(__version__, message="mpijob-local %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Run a kubeflow.org/v2beta1 MPIJob manifest on this machine with podman.

    Each replica becomes a container with its own network, named, keyed and laid out as
    mpi-operator and the kubelet do it on a cluster.
    """
    context.obj = LocalSettings.from_environ(os.environ)


for _command in (build, run, ps, logs, down, podman):
    cli.add_command(_command)


def main() -> None:
    """Run the command line and exit with its code."""
    with interruptible():
        try:
            code = _exit_code()
        except Interrupted as stop:
            code = _fail(str(stop), stop.exit_code)
        sys.exit(code)


def _exit_code() -> int:
    try:
        return _run()
    except MpiJobError as error:
        return _fail(str(error), error.exit_code)
    except click.ClickException as error:
        where: click.Context | None = getattr(error, "ctx", None)
        hint = f"\n  next: {where.command_path} --help" if where else ""
        return _fail(f"{error.format_message()}{hint}", UsageError.exit_code)
    except BrokenPipeError:
        # Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _SIGPIPE_EXIT


def _run() -> int:
    """Run a command and return its exit code; cli.main() would turn a closed pipe into 1."""
    try:
        context = cli.make_context(_PROGRAM, sys.argv[1:])
        with context:
            return int(cli.invoke(context) or 0)
    except click.exceptions.Exit as end:
        return end.exit_code


def _fail(message: str, exit_code: int) -> int:
    click.echo(f"{_PROGRAM}: {message}", err=True)
    return exit_code
