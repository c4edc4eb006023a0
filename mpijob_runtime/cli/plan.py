"""``mpijob-runtime plan``."""

import json
import shlex
from typing import Any

import click

from mpijob_runtime.cli.options import PROGRAM_SETTINGS, json_option, launch_options, read_settings
from mpijob_runtime.masking import shown_value
from mpijob_runtime.plan import LaunchPlan
from mpijob_runtime.settings import Flags


@click.command("plan", context_settings=PROGRAM_SETTINGS)
@launch_options
@json_option
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    *,
    as_json: bool,
    program: tuple[str, ...],
    **flags: Any,
) -> None:
    """Print what launch would run, and touch nothing.

    \b
    Examples:
      mpijob-runtime plan -- python train.py
      mpijob-runtime plan --json --host localhost:2 -- python train.py
    """
    from mpijob_runtime.launch import make_plan

    settings = read_settings(Flags(**flags))
    plan, _facts = make_plan(settings, program)
    if as_json:
        click.echo(json.dumps(plan.to_json(), indent=2, ensure_ascii=False))
    else:
        click.echo(format_plan(plan))


def format_plan(plan: LaunchPlan) -> str:
    """Return a plan for people: the hosts, the variables with their reasons, the command."""
    lines = [f"# {plan.mpi.name} {plan.mpi.version}, {plan.world_size} ranks"]
    lines += [f"# host {host.name} slots={host.slots}" for host in plan.hosts.hosts]
    for name, variable in plan.environ.items():
        value = shown_value(name, variable.value)
        lines.append(f"# {variable.source}: {variable.why}")
        lines.append(f"# {name}=" if value is None else f"export {name}={shlex.quote(value)}")
    lines.append(shlex.join(plan.argv))
    return "\n".join(lines)
