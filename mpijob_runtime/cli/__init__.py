"""The command line ``mpijob-runtime``: one file per subcommand, imported when it is called."""

import os
import sys

import click

from mpijob_runtime import __version__
from mpijob_runtime.cli.groups import LazyGroup, run_group
from mpijob_runtime.early import command_outlets

COMMANDS = (
    "launch",
    "plan",
    "worker",
    "hosts",
    "wait",
    "discover-hosts",
    "probe",
    "healthcheck",
    "lr",
)


@click.group(
    cls=LazyGroup,
    package="mpijob_runtime.cli",
    commands=COMMANDS,
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
    words = sys.argv[1:] if argv is None else argv
    outlets = command_outlets(words, os.environ)
    return run_group(group, words, name="mpijob-runtime", outlets=outlets)
