"""The command line ``mpijob-runtime``: one file per subcommand, imported when it is called."""

import importlib
from typing import Any

import click

from mpijob_runtime import __version__
from mpijob_runtime.cli.options import complain
from mpijob_runtime.errors import MpiJobError, UsageError, describe_bug

COMMANDS = (
    "launch",
    "plan",
    "worker",
    "hosts",
    "wait",
    "discover-hosts",
    "probe",
    "healthcheck",
)
_BROKEN_PIPE = 141


class _LazyGroup(click.Group):
    """Imports a subcommand's module only when that subcommand is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"mpijob_runtime.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Variables, exit codes and examples: see docs/reference.md in the project.",
)
@click.version_option(__version__, message="mpijob-runtime %(version)s")
def group() -> None:
    """Start, watch and explain MPI jobs inside Kubernetes pods.

    \b
    Examples:
      mpijob-runtime launch -- python train.py
      mpijob-runtime plan --json -- python train.py
      mpijob-runtime wait --timeout 60
    """


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    try:
        return _run(argv)
    except MpiJobError as error:
        complain(str(error))
        return error.exit_code
    except BrokenPipeError:
        return _BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - the one place that turns a bug into words
        complain(describe_bug(error))
        return MpiJobError.exit_code


def _run(argv: list[str] | None) -> int:
    try:
        result: Any = group.main(args=argv, standalone_mode=False, prog_name="mpijob-runtime")
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except click.ClickException as error:
        error.show()
        return UsageError.exit_code
    return result if isinstance(result, int) else 0
