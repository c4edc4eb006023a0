"""``mpijob-bench plan``."""

import json
from typing import Any

import click

from mpijob_bench.cli.plan_options import (
    DESIGN,
    MODEL,
    OF_MODELS,
    REDUCING,
    WORKLOAD,
    Finite,
    is_asked,
    make_plan,
    make_workload,
    steps_options,
    with_options,
)
from mpijob_bench.plan import Steps

_EPILOG = """\b
Examples:
  mpijob-bench plan --model resnet50 --pairs 7 --out plan.json
  mpijob-bench plan --model bert-large --framework horovod --compression fp16
  mpijob-bench plan --pairs 10 --step-seconds 0.35 -- python train.py --epochs 1
\b
A PROGRAM prints, on each rank, a line of JSON for each step, as in the files of Metrics:
{"step": 17, "step_seconds": 0.104, "samples": 32}
"""


@click.command("plan", epilog=_EPILOG)
@with_options(MODEL, WORKLOAD, REDUCING, DESIGN, steps_options(Steps()))
@click.option(
    "--step-seconds",
    type=Finite(0, min_open=True),
    default=0.2,
    show_default=True,
    metavar="SECONDS",
    help="Of a node alone, for the estimate.",
)
@click.option(
    "--launch-cv",
    type=Finite(0, 1, min_open=True),
    default=0.01,
    show_default=True,
    metavar="SHARE",
    help="How much launches differ, for the power.",
)
@click.option("--out", default="plan.json", show_default=True, metavar="FILE")
@click.option("--json", "as_json", is_flag=True, help="Print JSON to stdout.")
@click.argument("program", nargs=-1, type=click.UNPROCESSED)
def command(
    *,
    step_seconds: float,
    launch_cv: float,
    out: str,
    as_json: bool,
    program: tuple[str, ...],
    **options: Any,
) -> int:
    """Decide what is measured, before anything is, and say what it will tell and take.

    The hash of the plan stands in the result: gate --plan FILE tells whether it is the one that
    was decided on.
    """
    from mpijob_bench.documents import write_whole
    from mpijob_bench.plan import format_plan, plan_hash
    from mpijob_bench.plan_facts import plan_facts, show_facts

    plan = plan_of(options, program)
    text = format_plan(plan)
    keep_others(out)
    write_whole(out, text.encode())
    facts = plan_facts(plan, step_seconds=step_seconds, launch_cv=launch_cv)
    if as_json:
        click.echo(json.dumps({"file": out, "hash": plan_hash(text), **facts}))
    else:
        show_facts(facts, file=out, digest=plan_hash(text))
    return 0


def keep_others(path: str) -> None:
    """Refuse to write over a file that is no plan.

    Raises:
        UsageError: there is one.
    """
    import os

    from mpijob_bench.errors import ResultError
    from mpijob_bench.plan import read_plan
    from mpijob_runtime.errors import UsageError

    try:
        if os.path.lexists(path):
            read_plan(path)
    except ResultError as error:
        message = f"--out {path}: found a file that is no plan, wanted a new file or a plan"
        raise UsageError(message, remedy="name another") from error


def refuse_its_own(context: click.Context) -> None:
    """Refuse options of what a program of the user's own decides itself.

    Raises:
        UsageError: with the first of them.
    """
    from mpijob_runtime.errors import UsageError

    for option in context.command.params:
        if option.name in OF_MODELS and is_asked(context, option.name):
            message = f"{option.opts[0]} and a program, which decides that itself"
            raise UsageError(message, remedy=f"leave {option.opts[0]} out")


def plan_of(options: dict[str, Any], program: tuple[str, ...]) -> Any:
    """Return the plan of a model or a user's program."""
    from mpijob_bench.transports import declared_transport
    from mpijob_runtime.errors import UsageError

    if program:
        refuse_its_own(click.get_current_context())
    if program and options["model"]:
        message = f"--model {options['model']} and the program {program[0]!r}"
        raise UsageError(message, remedy="give one of them")
    kind = "command" if program else "model"
    name = program[0] if program else options["model"] or "resnet50"
    workload = make_workload(kind, name, options, program)
    asked = options["transport"] or (None if program else "tcp")
    return make_plan(workload, options, transport=declared_transport(asked))
