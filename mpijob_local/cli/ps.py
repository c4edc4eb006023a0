"""``mpijob-local ps``."""

import json
import time
from dataclasses import asdict

import click
from rich.table import Table

from mpijob_local.machine import podman_for
from mpijob_local.output import make_console
from mpijob_local.removal import PodStatus, list_pods
from mpijob_local.settings import LocalSettings

_MINUTE, _HOUR = 60, 3600


@click.command(epilog="Example: mpijob-local ps --json | jq -r '.[].pod'")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@click.pass_context
def ps(context: click.Context, *, as_json: bool) -> None:
    """List the pods of all jobs: job, pod, role, state, IP addresses, age."""
    settings: LocalSettings = context.obj
    engine, _ = podman_for(settings)
    pods = list_pods(engine)
    if as_json:
        click.echo(json.dumps([asdict(pod) for pod in pods], indent=2))
        return
    table = Table("JOB", "POD", "ROLE", "STATE", "IP", "AGE", box=None, pad_edge=False)
    for pod in pods:
        age = _age(time.time() - pod.created)
        table.add_row(pod.job, pod.pod, pod.role, _state(pod), " ".join(pod.addresses), age)
    make_console(coloured=settings.coloured, stderr=False).print(table)


def _state(pod: PodStatus) -> str:
    return pod.state if pod.exit_code is None else f"{pod.state} ({pod.exit_code})"


def _age(seconds: float) -> str:
    """Format an age with the one unit that says most, as kubectl does."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f}s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f}m"
    return f"{seconds / _HOUR:.0f}h"
