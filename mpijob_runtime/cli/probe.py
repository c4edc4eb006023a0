"""``mpijob-runtime probe``."""

import dataclasses
import json

import click

from mpijob_runtime.cli.options import json_option, read_settings
from mpijob_runtime.settings import Flags


@click.command("probe")
@json_option
def command(*, as_json: bool) -> None:
    """Print the facts of this container.

    \b
    Examples:
      mpijob-runtime probe
      mpijob-runtime probe --json
    """
    from mpijob_runtime.probes.container import probe_container

    facts = dataclasses.asdict(probe_container(read_settings(Flags())))
    if as_json:
        click.echo(json.dumps(facts, indent=2, default=sorted))
        return
    for group, fact in facts.items():
        if isinstance(fact, dict):
            for name, value in fact.items():
                shown = sorted(value) if isinstance(value, frozenset) else value
                click.echo(f"{group}.{name}: {shown}")
        else:
            click.echo(f"{group}: {fact}")
