"""A group of subcommands that are imported when they are called, and how all of them end."""

import importlib
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import click

from mpijob_runtime.early import NOWHERE, Outlets
from mpijob_runtime.errors import UsageError
from mpijob_runtime.outermost import INTERRUPTED, run_program


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


def run_group(
    group: click.Group, argv: list[str] | None, *, name: str, outlets: Outlets = NOWHERE
) -> int:
    """Run a command line and return the exit code; errors are words, never tracebacks.

    Args:
        group: the commands.
        argv: the arguments, or None for the process's own.
        name: of the program.
        outlets: where somebody looks for what came of it.
    """
    return run_program(partial(_run, group, argv, name), os.environ, outlets)


def _run(group: click.Group, argv: list[str] | None, name: str) -> int:
    try:
        result: Any = group.main(args=argv, standalone_mode=False, prog_name=name)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        where: click.Context | None = getattr(error, "ctx", None)
        remedy = f"{where.command_path} --help" if where else ""
        raise UsageError(error.format_message(), remedy=remedy) from error
    except SystemExit as error:  # click and rich end so if nobody reads stdout any more
        raise BrokenPipeError from error
    return result if isinstance(result, int) else 0
