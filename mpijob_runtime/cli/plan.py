"""``mpijob-runtime plan``."""

import json
import shlex
from typing import Any

import click

from mpijob_runtime.cli.options import (
    PROGRAM_SETTINGS,
    json_option,
    launch_options,
    make_console,
    read_settings,
    verbosity_options,
)
from mpijob_runtime.masking import shown_value
from mpijob_runtime.plan import LaunchPlan
from mpijob_runtime.settings import Flags


@click.command("plan", context_settings=PROGRAM_SETTINGS)
@launch_options
@click.option(
    "--probe-hosts",
    is_flag=True,
    help="Wait for the hosts and ask them, too; what runs there is left alone.",
)
@json_option
@verbosity_options
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    *,
    probe_hosts: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    program: tuple[str, ...],
    **flags: Any,
) -> None:
    """Print what launch would run, and start nothing.

    What depends on the workers is decided at launch; --probe-hosts asks them now.

    \b
    Examples:
      mpijob-runtime plan -- python train.py
      mpijob-runtime plan --json --host localhost:2 -- python train.py
      mpijob-runtime plan --probe-hosts -- python train.py
    """
    from mpijob_runtime.launch import make_plan

    settings = read_settings(Flags(**flags))
    plan, facts = make_plan(settings, program)
    if probe_hosts:
        from mpijob_runtime.probe_hosts import ask_hosts

        console = make_console(settings, quiet=quiet, verbose=verbose)
        plan = ask_hosts(settings, plan, facts, console)
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
    lines.append(f"# ranks are bound to processors {plan.binding.why}")
    lines += [f"#   on {host}: {words}" for host, words in plan.bound.items()]
    lines.append(shlex.join(plan.argv))
    lines.append("# each rank gets, of these variables, the ones that it lacks:")
    for name, variable in plan.rank_environ.items():
        lines.append(f"# {name}={variable.value or ''}  {variable.source}: {variable.why}")
        lines += [f"#   on {host}: {value}" for host, value in variable.by_host.items()]
    return "\n".join(lines)
