"""``mpijob-runtime launch``."""

from typing import Any

import click

from mpijob_runtime.cli.options import (
    PROGRAM_SETTINGS,
    launch_options,
    make_console,
    read_settings,
    verbosity_options,
)
from mpijob_runtime.settings import Flags


@click.command("launch", context_settings=PROGRAM_SETTINGS)
@launch_options
@verbosity_options
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    *,
    quiet: bool,
    verbose: bool,
    program: tuple[str, ...],
    **flags: Any,
) -> int:
    """Wait for the hosts, run PROGRAM on all of them, watch it, say how it ended.

    \b
    Examples:
      mpijob-runtime launch -- python train.py --epochs 90
      mpijob-runtime launch -n 4 --env EPOCHS=90 --env 'NCCL_*' -- python train.py
      mpijob-runtime launch --stall-timeout 600 --log-dir /logs -- python train.py
      mpijob-runtime launch --host localhost:2 -- python train.py
    """
    from mpijob_runtime.launch import launch

    settings = read_settings(Flags(**flags))
    return launch(settings, program, console=make_console(settings, quiet=quiet, verbose=verbose))
