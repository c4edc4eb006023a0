"""Directories that commands write into, and the console that their tables go to."""

import os
from pathlib import Path

import click
from rich.console import Console

from mpijob_runtime.errors import UsageError
from mpijob_runtime.outermost import let_go_of_streams

_LOG_COLUMNS = 110


def make_directory(path: str) -> Path:
    """Return a directory, made if it is not there.

    Raises:
        UsageError: if nothing can be written into it.
    """
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        message = f"--out {path}: found {error.strerror}, wanted a directory"
        raise UsageError(message, remedy="name one that can be written to") from error
    if not os.access(path, os.W_OK):
        message = f"--out {path}: found a directory of others, wanted one that we may write into"
        raise UsageError(message, remedy="name another, or mount a volume there")
    return Path(path)


def say(line: str) -> None:
    """Print a line to stdout; a reader that has gone takes nothing from the exit code."""
    try:
        click.echo(line)
    except BrokenPipeError:
        let_go_of_streams()


def stdout_console() -> Console:
    """Return the console for tables; a pod's log is no terminal, and has room."""
    console = Console()
    return console if console.is_terminal else Console(width=_LOG_COLUMNS)
