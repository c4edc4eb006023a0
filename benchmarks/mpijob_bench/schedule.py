"""Which launches a plan asks for, in which order; and how long they may take. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mpijob_bench.plan import Plan
from mpijob_bench.power import alone_first

Kind = Literal["links", "comm", "alone", "together", "single"]

LAUNCH_SECONDS = 15.0
"""For starting and ending a launch: Python with torch on each rank; on few cores it is most."""

_PROBE_SECONDS = {"links": 5.0, "comm": 60.0}


@dataclass(frozen=True)
class PlannedLaunch:
    """A launch to do.

    Attributes:
        key: names it in the record; equal for each attempt.
        kind: ``alone``: each node by itself, all at once; ``together``: as one job; ``links`` and
            ``comm``: what the network gives, for the prediction; ``single``: one rank.
        nodes: that take part.
        pair: index of its pair; None for what belongs to none.
    """

    key: str
    kind: Kind
    nodes: int
    pair: int | None = None


def planned_launches(
    plan: Plan, *, slots: int = 1, pairs: int | None = None
) -> list[PlannedLaunch]:
    """Return the launches in their order: the pairs, then the points of the curve.

    The sweep of all-reduces comes first in an emulation, so that the prediction is there before
    what it predicts; elsewhere last, because the pairs show whether NCCL or Gloo is to be swept.

    Args:
        plan: that asks for them.
        slots: of a node; with several, one rank by itself is launched, too.
        pairs: how many, if not the plan's without its extension.
    """
    launches = []
    sweep = PlannedLaunch("comm", "comm", plan.nodes)
    if plan.emulation is not None:
        launches += [PlannedLaunch("links", "links", plan.nodes), sweep]
    for pair, first in enumerate(alone_first(pairs or plan.pairs)):
        kinds: tuple[Kind, Kind] = ("alone", "together") if first else ("together", "alone")
        launches += [PlannedLaunch(f"pair-{pair}-{kind}", kind, plan.nodes, pair) for kind in kinds]
    for nodes in plan.curve.nodes:
        launches += [
            PlannedLaunch(f"curve-{nodes}-{number}", "together", nodes)
            for number in range(plan.curve.launches)
        ]
    if plan.emulation is None and plan.workload.kind != "command":
        launches.append(sweep)
    if slots > 1:
        launches.append(PlannedLaunch("single", "single", 1))
    return launches


def estimate_seconds(
    plan: Plan, launch: PlannedLaunch, *, step_seconds: float, efficiency: float
) -> float:
    """Return how long a launch will take.

    Args:
        plan: with the numbers of steps.
        launch: that is asked about.
        step_seconds: of a node alone.
        efficiency: that all nodes together are taken to have.
    """
    if launch.kind in _PROBE_SECONDS:
        return LAUNCH_SECONDS + _PROBE_SECONDS[launch.kind]
    steps = plan.steps
    whole = step_seconds / efficiency if launch.kind == "together" else step_seconds
    blocks = [(whole, steps.full)]
    if launch.kind == "together" and plan.workload.kind != "command":
        blocks += [(step_seconds, steps.ablation)] * 2
    return LAUNCH_SECONDS + sum(
        max(steps.warmup * step, steps.warmup_seconds) + count * step for step, count in blocks
    )


def plan_seconds(
    plan: Plan, step_seconds: float, *, efficiency: float, pairs: int | None = None
) -> float:
    """Return how long all launches of a plan will take.

    Args:
        plan: that is asked about.
        step_seconds: of a node alone.
        efficiency: that all nodes together are taken to have.
        pairs: how many, if not the plan's without its extension.
    """
    return sum(
        estimate_seconds(plan, launch, step_seconds=step_seconds, efficiency=efficiency)
        for launch in planned_launches(plan, pairs=pairs)
    )


def remaining_seconds(
    left: list[PlannedLaunch],
    estimates: Mapping[str, float],
    done: Mapping[str, float],
    kinds: Mapping[str, Kind],
) -> float:
    """Return how long the launches that are left will take, by those that were done.

    Args:
        left: launches.
        estimates: seconds by key, from before the first launch.
        done: seconds by key, as they were.
        kinds: by key, of what was done.
    """
    seconds = 0.0
    for launch in left:
        alike = [took / estimates[key] for key, took in done.items() if kinds[key] == launch.kind]
        pace = sum(alike) / len(alike) if alike else 1.0
        seconds += estimates[launch.key] * pace
    return seconds
