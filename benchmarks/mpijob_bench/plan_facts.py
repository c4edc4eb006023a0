"""What a plan will take and what it will tell: for people before they start it."""

from typing import Any

from rich.console import Console
from rich.table import Table

from mpijob_bench.plan import FEWEST_PAIRS, Plan
from mpijob_bench.power import EFFECTS, Effect, alone_first, estimate_power
from mpijob_bench.schedule import plan_seconds, planned_launches

_POINTS_FROM_TARGET = (-0.03, -0.02, -0.01, 0.0, 0.01, 0.02, 0.03)


def plan_facts(plan: Plan, *, step_seconds: float, launch_cv: float) -> dict[str, Any]:
    """Return launches, seconds and the power of a plan.

    Args:
        plan: that is asked about.
        step_seconds: of a node alone.
        launch_cv: coefficient of variation of launches.
    """
    power = []
    if plan.pairs >= FEWEST_PAIRS:
        for away in _POINTS_FROM_TARGET:
            true = plan.target + away
            if not 0 < true <= 1:
                continue
            effects = {effect: _shares(plan, true, launch_cv, effect) for effect in EFFECTS}
            power.append({"efficiency": round(true, 4), **effects["lognormal"], "effects": effects})
    all_pairs = plan.pairs + plan.extension
    first = ["AB" if alone else "BA" for alone in alone_first(plan.pairs)]
    return {
        "order": " ".join(first),
        "launches": len(planned_launches(plan)),
        "seconds": round(plan_seconds(plan, step_seconds, efficiency=plan.target)),
        "extension": plan.extension,
        "most_launches": len(planned_launches(plan, pairs=all_pairs)),
        "most_seconds": round(
            plan_seconds(plan, step_seconds, efficiency=plan.target, pairs=all_pairs)
        ),
        "step_seconds": step_seconds,
        "launch_cv": launch_cv,
        "power": power,
    }


def _shares(plan: Plan, true: float, launch_cv: float, effect: Effect) -> dict[str, float]:
    found = estimate_power(
        target=plan.target,
        efficiency=true,
        pairs=plan.pairs,
        extension=plan.extension,
        launch_cv=launch_cv,
        effect=effect,
        seed=plan.seed,
    )
    return {
        "pass": found.passed,
        "fail": found.failed,
        "inconclusive": found.inconclusive,
        "extended": found.extended,
    }


def show_facts(facts: dict[str, Any], *, file: str, digest: str) -> None:
    """Print the facts."""
    console = Console()
    console.print(f"{file}: {digest[:16]}…", highlight=False)
    console.print(
        f"{facts['launches']} launches, about {facts['seconds'] / 60:.0f} min with steps of"
        f" {facts['step_seconds']:g} s; order {facts['order']} (A alone, B together)",
        highlight=False,
    )
    if facts["extension"]:
        console.print(
            f"where those cannot tell, {facts['extension']} further pairs: in all"
            f" {facts['most_launches']} launches, about {facts['most_seconds'] / 60:.0f} min",
            highlight=False,
        )
    if not facts["power"]:
        console.print(f"fewer than {FEWEST_PAIRS} pairs: the verdict will be INVALID")
        return
    table = Table(
        title=f"Verdicts by the true efficiency, launches differing by {facts['launch_cv']:.1%}"
    )
    columns = {"PASS": "pass", "INCONCLUSIVE": "inconclusive", "FAIL": "fail"}
    if facts["extension"]:
        columns["extended"] = "extended"
    for name in ("true efficiency", *columns):
        table.add_column(name, justify="right")
    for row in facts["power"]:
        shares = (_range(row["effects"], word) for word in columns.values())
        table.add_row(f"{row['efficiency']:.1%}", *shares)
    console.print(table)
    console.print("lowest and highest of lognormal, heavy-tailed and correlated launches")


def _range(effects: dict[str, dict[str, float]], word: str) -> str:
    shares = [round(100 * effect[word]) for effect in effects.values()]
    low, high = min(shares), max(shares)
    return f"{low} %" if low == high else f"{low} to {high} %"
