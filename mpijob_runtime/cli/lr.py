"""``mpijob-runtime lr``."""

import json
from typing import Any

import click

from mpijob_runtime.cli.options import json_option
from mpijob_runtime.training.learning_rate import (
    RULES,
    LearningRatePlan,
    Rule,
    scale_learning_rate,
)


@click.command("lr")
@click.option("--base-lr", type=float, required=True, help="The rate that was found before.")
@click.option("--base-batch", type=int, required=True, help="Samples per step it was found with.")
@click.option("--micro-batch", type=int, required=True, help="Samples of a rank per pass.")
@click.option("--world-size", type=int, required=True, help="Ranks.")
@click.option("--accumulation", type=int, default=1, show_default=True, help="Passes per step.")
@click.option("--rule", type=click.Choice(RULES), default="linear", show_default=True)
@click.option(
    "--adasum",
    type=int,
    metavar="RANKS",
    help="Horovod's AdaSum in the rule's place; averaged before it are the RANKS of a host with "
    "NCCL, else 1.",
)
@click.option("--warmup-steps", type=int, default=0, show_default=True, help="Steps of warm-up.")
@json_option
def command(*, base_batch: int, rule: Rule, as_json: bool, **numbers: Any) -> None:
    """Explain the learning rate for a batch, rule by rule.

    \b
    Examples:
      mpijob-runtime lr --base-lr 0.1 --base-batch 256 --micro-batch 32 --world-size 64
      mpijob-runtime lr --base-lr 3e-4 --base-batch 32 --micro-batch 32 --world-size 8 --rule sqrt
    """
    chosen = scale_learning_rate(base_global_batch=base_batch, rule=rule, **numbers)
    rest = {name: value for name, value in numbers.items() if name != "adasum"}
    plans = [scale_learning_rate(base_global_batch=base_batch, rule=name, **rest) for name in RULES]
    if chosen.rule not in RULES:
        plans.append(chosen)
    if as_json:
        rules = [
            {"rule": plan.rule, "factor": plan.factor, "learning_rate": plan.learning_rate}
            for plan in plans
        ]
        click.echo(json.dumps({**chosen.to_json(), "rules": rules}, indent=2))
    else:
        click.echo(chosen.explain())
        click.echo("\n" + format_table(plans, chosen=chosen.rule))


def format_table(plans: list[LearningRatePlan], *, chosen: str) -> str:
    """Return a line for each plan, the chosen one with a mark."""
    rows = [
        (
            "*" if plan.rule == chosen else "",
            plan.rule,
            f"{plan.factor:g}",
            f"{plan.learning_rate:g}",
            plan.formula,
            plan.source,
        )
        for plan in plans
    ]
    table = [("", "rule", "factor", "rate", "formula", "source"), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(5)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[5]])
        for row in table
    )
