"""A group of subcommands that are imported when they are called, and how all of them end."""

import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from mpijob_runtime.cli.options import complain
from mpijob_runtime.errors import ConfigurationError, MpiJobError, UsageError, describe_bug

INTERRUPTED = 130
_BROKEN_PIPE = 141


class LazyGroup(click.Group):
    """Imports a subcommand's module only when that subcommand is named.

    Args:
        package: has a module with a ``command`` for each.
        commands: their names.
        options: click's own.
    """

    def __init__(self, *, package: str, commands: Sequence[str], **options: Any) -> None:
        super().__init__(**options)
        self._package = package
        self._commands = commands

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in their order."""
        return list(self._commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return a command, or None if there is no such one."""
        if cmd_name not in self._commands:
            return None
        module = importlib.import_module(f"{self._package}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command


def run_group(group: click.Group, argv: list[str] | None, *, name: str) -> int:
    """Run a command line and return the exit code; errors are words, never tracebacks.

    Args:
        group: the commands.
        argv: the arguments, or None for the process's own.
        name: of the program.
    """
    try:
        return _run(group, argv, name)
    except MpiJobError as error:
        complain(str(error))
        return error.exit_code
    except BrokenPipeError:
        drop_stdout()
        return _BROKEN_PIPE
    except OSError as error:
        if error.errno != errno.ENOSPC:
            complain(describe_bug(error))
            return MpiJobError.exit_code
        drop_stdout()
        complain(f"{error.filename or 'stdout'}: cannot write: {error.strerror}")
        return ConfigurationError.exit_code
    except Exception as error:  # noqa: BLE001 - the one place that turns a bug into words
        complain(describe_bug(error))
        return MpiJobError.exit_code


def drop_stdout() -> None:
    """Let nothing more be written to a stdout that takes no more, not even at the end.

    As the Python documentation has it (signal, Note on SIGPIPE).
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


def _run(group: click.Group, argv: list[str] | None, name: str) -> int:
    try:
        result: Any = group.main(args=argv, standalone_mode=False, prog_name=name)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return UsageError.exit_code
    except SystemExit as error:  # click and rich end so if nobody reads stdout any more
        raise BrokenPipeError from error
    return result if isinstance(result, int) else 0
