"""``mpijob-bench emulate``."""

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

import click

from mpijob_bench.cli.plan_options import (
    DESIGN,
    LARGEST,
    REDUCING,
    Finite,
    make_plan,
    make_workload,
    quiet_option,
    steps_options,
    with_options,
)
from mpijob_bench.plan import PROFILES, Inject, Steps

_EPILOG = """\b
Examples:
  mpijob-bench emulate --profile resnet50 --network 25gbit
  mpijob-bench emulate --profile bert-large --network 100gbit --framework horovod --pairs 3
  mpijob-bench emulate --inject slow_rank=3 --inject slow_share=0.1
\b
What it can tell and what not: docs/benchmarks.md. Exits as gate does; verdicts say EMULATED-.
"""
_STEPS = Steps(warmup=5, warmup_seconds=0.0, full=60, ablation=20)


def _bits(_context: click.Context, _parameter: click.Parameter, text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(mbit|gbit)", text.lower())
    if match is None or not float(match[1]):
        message = f"{text!r} is none of 10gbit, 25gbit, 100gbit, 800mbit"
        raise click.BadParameter(message)
    return float(match[1]) * (1e6 if match[2] == "mbit" else 1e9)


@click.command("emulate", epilog=_EPILOG)
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    default="resnet50",
    show_default=True,
    help="What the nodes compute: waits at its gradient-ready times.",
)
@click.option(
    "--network",
    callback=_bits,
    default="25gbit",
    show_default=True,
    metavar="RATE",
    help="What is emulated between nodes.",
)
@click.option(
    "--k",
    type=Finite(1, LARGEST),
    metavar="K",
    help="Links are slower by it.  [default: as needed for 125 Mbit/s]",
)
@click.option(
    "--time-scale",
    type=Finite(1, LARGEST),
    default=8.0,
    show_default=True,
    metavar="D",
    help="Computing is slower by it; bytes are fewer by K / D.",
)
@click.option(
    "--jitter",
    type=Finite(0, 1),
    default=0.0,
    show_default=True,
    metavar="CV",
    help="Of computing, from step to step and rank to rank.",
)
@click.option(
    "--inject",
    "injected",
    multiple=True,
    metavar="NAME=VALUE",
    help="A known fault: slow_rank, slow_share, hook_delay_seconds, stall_seconds,"
    " stall_share, wrong_elements. Repeatable.",
)
@with_options(REDUCING, DESIGN, steps_options(_STEPS))
@click.option(
    "--double-pairs",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    metavar="N",
    help="Pairs at twice the scale, for guard G5; with 0 it is not known, and no verdict PASS.",
)
@click.option("--out", default="results", show_default=True, metavar="DIR")
@click.option(
    "--image", metavar="REF", help="[default: mpijob-runtime:torch-ompi4.1, or horovod-ompi4.1]"
)
@quiet_option
def command(
    *,
    profile: str,
    network: float,
    k: float | None,
    time_scale: float,
    jitter: float,
    injected: tuple[str, ...],
    double_pairs: int,
    out: str,
    image: str | None,
    quiet: bool,
    **options: Any,
) -> int:
    """Emulate a run of several nodes on this machine, and judge it.

    A container for each node, links shaped to RATE / K, real DDP or Horovod over Gloo; computing
    is waiting. Tells how communication and overlap behave, never what hardware achieves. Goes on
    where an interrupted run has stopped.
    """
    from mpijob_bench.emulation import emulate, scale
    from mpijob_bench.ending import conclude
    from mpijob_bench.plan import format_plan

    directory = Path(out)
    if k is not None and k < time_scale:
        message = f"--k: found {k:g}, wanted at least --time-scale, {time_scale:g}"
        raise click.BadParameter(f"{message}: bytes are fewer by K / D")
    emulation = dataclasses.replace(
        scale(network, k, time_scale), jitter_cv=jitter, inject=parse_inject(injected)
    )
    if emulation.inject.slow_rank >= options["nodes"]:
        message = f"found slow_rank={emulation.inject.slow_rank}, wanted one below --nodes"
        raise click.BadParameter(f"--inject: {message}")
    workload = make_workload("profile", profile, options)
    if emulation.inject.hook_delay_seconds and workload.framework == "horovod":
        raise click.BadParameter("--inject hook_delay_seconds: Horovod has no hook; DDP has one")
    text = format_plan(make_plan(workload, options, fidelity="emulated", emulation=emulation))
    usual = f"mpijob-runtime:{'torch' if workload.framework == 'ddp' else 'horovod'}-ompi4.1"
    emulate(text, directory, image=image or usual, double_pairs=double_pairs, quiet=quiet)
    return conclude(directory)


def parse_inject(texts: tuple[str, ...]) -> Inject:
    """Return the faults of ``NAME=VALUE``.

    Raises:
        click.BadParameter: no such fault, or no number.
    """
    known = {name: type(value) for name, value in dataclasses.asdict(Inject()).items()}
    found: dict[str, Any] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            found[name] = known[name](value)
        except (KeyError, ValueError) as error:
            message = f"--inject: found {text!r}, wanted a number for one of {', '.join(known)}"
            raise click.BadParameter(message) from error
        if not 0 <= found[name] < math.inf or (name == "stall_share" and found[name] > 1):
            most = "1" if name == "stall_share" else "finite"
            raise click.BadParameter(f"--inject: found {text!r}, wanted from 0, {most} at most")
    return Inject(**found)
