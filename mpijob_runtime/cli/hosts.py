"""``mpijob-runtime hosts``."""

import json

import click

from mpijob_runtime.cli.options import host_options, json_option, read_settings
from mpijob_runtime.hosts import format_hostfile
from mpijob_runtime.plan import hosts_to_json
from mpijob_runtime.settings import Flags


@click.command("hosts")
@host_options
@json_option
def command(*, hostfile: str | None, host: str | None, as_json: bool) -> None:
    """Check a hostfile and print it in Open MPI's form.

    \b
    Examples:
      mpijob-runtime hosts
      mpijob-runtime hosts --hostfile ./hostfile --json
    """
    from mpijob_runtime.launch import read_hosts

    hosts = read_hosts(read_settings(Flags(hostfile=hostfile, host=host)))
    if as_json:
        data = {
            "hosts": hosts_to_json(hosts.hosts),
            "world_size": hosts.world_size,
            "source": hosts.source,
        }
        click.echo(json.dumps(data, indent=2))
    else:
        click.echo(format_hostfile(hosts.hosts), nl=False)
