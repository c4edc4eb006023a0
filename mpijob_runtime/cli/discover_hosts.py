"""``mpijob-runtime discover-hosts``."""

import json
import socket

import click

from mpijob_runtime.cli.options import Time, json_option, read_settings
from mpijob_runtime.host_formats import format_discovered_hosts
from mpijob_runtime.operators import DISCOVER_HOSTS
from mpijob_runtime.plan import hosts_to_json
from mpijob_runtime.settings import Flags


@click.command("discover-hosts")
@click.option(
    "--script",
    metavar="PATH",
    default=DISCOVER_HOSTS,
    show_default=True,
    help="Prints a host on each line; where it does not exist, the hostfile names the hosts.",
)
@click.option(
    "--timeout",
    type=Time(0, min_open=True),
    default=5.0,
    show_default=True,
    metavar="TIME",
    help="Time for the script, and once more for all logins together.",
)
@json_option
def command(*, script: str, timeout: float, as_json: bool) -> None:
    """Print NAME:SLOTS of every host that takes our login now; for elastic training.

    Hosts that take none are left out, without an error: they may come.

    \b
    Examples:
      horovodrun --host-discovery-script "mpijob-runtime discover-hosts" …
      mpijob-runtime discover-hosts --json
    """
    from mpijob_runtime.discovery import discover_hosts

    found = discover_hosts(
        read_settings(Flags()),
        script=script,
        hostname=socket.gethostname(),
        timeout_seconds=timeout,
    )
    if as_json:
        data = {
            "hosts": hosts_to_json(found.live),
            "missing": dict(found.missing),
            "source": found.source,
        }
        click.echo(json.dumps(data, indent=2))
    else:
        click.echo(format_discovered_hosts(found.live), nl=False)
