"""``mpijob-runtime worker``."""

import click

from mpijob_runtime.cli.options import make_console, read_settings
from mpijob_runtime.settings import Flags


@click.command("worker", context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[SSHD OPTIONS]")
def command(*, arguments: tuple[str, ...]) -> int:
    """Prepare sshd with the job's key and run it in the foreground.

    \b
    Examples:
      mpijob-runtime worker
      MPIJOB_SSH_PORT=2300 mpijob-runtime worker -o LogLevel=VERBOSE
    """
    from mpijob_runtime import worker

    settings = read_settings(Flags())
    if not worker.runs_in_foreground(arguments):
        arguments = ("-De", *arguments)
    console = make_console(settings, quiet=False, verbose=False)
    return worker.run_worker(settings, arguments, console=console)
