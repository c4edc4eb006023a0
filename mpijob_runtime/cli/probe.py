"""``mpijob-runtime probe``."""

import dataclasses
import json
import os
import shutil
import sys

import click

from mpijob_runtime.cli.options import json_option, read_settings
from mpijob_runtime.facts import NcclFacts
from mpijob_runtime.settings import Flags, Settings

_GPU_SECONDS = 60.0


@click.command("probe")
@json_option
def command(*, as_json: bool) -> None:
    """Print the facts of this container.

    \b
    Examples:
      mpijob-runtime probe
      mpijob-runtime probe --json
    """
    from mpijob_runtime.fact_json import facts_to_json
    from mpijob_runtime.gpu_table import format_gpu_host
    from mpijob_runtime.probes.container import probe_container
    from mpijob_runtime.probes.gpu_child import probe_gpus_in_child

    settings = read_settings(Flags())
    facts = dataclasses.asdict(probe_container(settings))
    gpu, nccl = probe_gpus_in_child(_GPU_SECONDS), _probe_nccl(settings)
    if as_json:
        more = {"gpu": facts_to_json(gpu), "nccl": facts_to_json(nccl) if nccl else None}
        click.echo(json.dumps({**facts, **more}, indent=2, default=sorted))
        return
    for group, fact in facts.items():
        if isinstance(fact, dict):
            for name, value in fact.items():
                shown = sorted(value) if isinstance(value, frozenset) else value
                click.echo(f"{group}.{name}: {shown}")
        else:
            click.echo(f"{group}: {fact}")
    for line in format_gpu_host(gpu).splitlines():
        click.echo(f"gpu: {line}")
    click.echo(f"nccl: {_describe_nccl(nccl)}")


def _probe_nccl(settings: Settings) -> NcclFacts | None:
    from mpijob_runtime.probes.nccl import probe_nccl

    path = settings.environ.get("PATH", os.defpath)
    return probe_nccl(settings.environ, python=shutil.which("python3", path=path) or sys.executable)


def _describe_nccl(nccl: NcclFacts | None) -> str:
    if nccl is None:
        return "none"
    if nccl.version is None:
        return f"{nccl.path} cannot be loaded: {nccl.problem}"
    return f"{nccl.version}, {nccl.path} ({nccl.found_by})"
