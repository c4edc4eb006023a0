"""The command line ``mpijob-bench``: one file per subcommand, imported when it is called."""

import sys

import click

from mpijob_bench import __version__
from mpijob_runtime.cli.groups import LazyGroup, run_group

COMMANDS = ("plan", "preflight", "comm", "run", "gate", "explain", "report", "emulate")


@click.group(
    cls=LazyGroup,
    package="mpijob_bench.cli",
    commands=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="mpijob-bench %(version)s")
def group() -> None:
    """Scaling efficiency of training jobs, with a verdict that can be trusted.

    \b
    Examples:
      mpijob-bench run --out /results --model resnet50    in an MPIJob's launcher
      mpijob-bench emulate --network 25gbit               on one machine
      mpijob-bench gate results/result.json
      mpijob-bench explain results/result.json
      mpijob-bench report results
    """


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    return run_group(group, argv, name="mpijob-bench")


def run() -> None:
    """Run the command line and end with its exit code."""
    sys.exit(main())
