"""``mpijob-bench run``."""

from pathlib import Path
from typing import Any

import click

from mpijob_bench.cli.plan import plan_of
from mpijob_bench.cli.plan_options import (
    DESIGN,
    MODEL,
    REDUCING,
    WORKLOAD,
    is_asked,
    quiet_option,
    steps_options,
    with_options,
)
from mpijob_bench.plan import Steps

_EPILOG = """\b
Examples, as the command of an MPIJob's launcher:
  mpijob-bench run --out /results --model resnet50
  mpijob-bench run --out /results --plan /results/plan.json
  mpijob-bench run --out /results --pairs 7 -- python train.py
\b
Goes on where an interrupted run has stopped, with the plan that is in DIR. Exits as gate does, 75
after SIGTERM, 69 and so on if no launch can be done.
"""


@click.command("run", epilog=_EPILOG)
@click.option(
    "--out",
    default="results",
    show_default=True,
    metavar="DIR",
    help="Takes the record, the steps and the result.",
)
@click.option("--plan", "plan_file", metavar="FILE", help="Do what this plan says.")
@with_options(MODEL, WORKLOAD, REDUCING, DESIGN, steps_options(Steps()))
@quiet_option
@click.argument("program", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(
    context: click.Context,
    /,
    *,
    out: str,
    plan_file: str | None,
    quiet: bool,
    program: tuple[str, ...],
    **options: Any,
) -> int:
    """Do the launches of a plan, inside an MPIJob's launcher, and judge them.

    Pairs of launches, nodes alone and together, on the hosts of the job; then further numbers of
    nodes. Writes result.json, and prints the verdict.
    """
    from mpijob_bench.plan import format_plan, read_plan
    from mpijob_bench.run_command import run_all
    from mpijob_runtime.errors import UsageError

    directory = Path(out)
    if plan_file:
        if program or asked(context):
            message = f"--plan {plan_file} and what a plan is made of"
            raise UsageError(message, remedy="give --plan alone, or change the plan itself")
        _, text = read_plan(plan_file)
    elif (directory / "plan.json").exists() and not program and not asked(context):
        _, text = read_plan(str(directory / "plan.json"))
    else:
        text = format_plan(plan_of(options, program))
    return run_all(text, directory, quiet=quiet)


def asked(context: click.Context) -> bool:
    """Return whether the command line or the environment asks for a plan of its own."""
    return any(
        is_asked(context, name)
        for name in context.params
        if name not in {"out", "plan_file", "quiet", "program"}
    )
