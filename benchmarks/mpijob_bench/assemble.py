"""Makes result.json of what a run has recorded.

Pure but for asking which versions are there, and for reading a shipped profile.
"""

import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from typing import Any

from mpijob_bench import guards
from mpijob_bench.expected import expected_step_seconds
from mpijob_bench.plan import Plan
from mpijob_bench.record import Launch
from mpijob_bench.result import SCHEMA, Result
from mpijob_bench.verdict import decide, efficiency_interval

Pair = dict[str, Any]

_FEWEST_WITH_SLOW_ONE = 3
_PACKAGES = ("mpijob-bench", "mpijob-runtime", "torch", "horovod", "mpi4py", "numpy")


def assemble(
    plan: Plan, plan_hash: str, launches: Sequence[Launch], comm: Mapping[str, Any] | None
) -> Result:
    """Return the result of the launches so far; prediction and its guard are added later.

    Args:
        plan: of the run.
        plan_hash: of its file.
        launches: every attempt (record.py).
        comm: the sweep of collectives, or None.
    """
    shown = [launch for launch in launches if launch["kind"] in {"alone", "together"}]
    pairs = pairs_done(plan, shown)
    wrong = sum(launch.get("wrong_elements") or 0 for launch in shown)
    wrong += sum(found["wrong_elements"] or 0 for found in (comm or {}).get("results", ()))
    return {
        "schema": SCHEMA,
        "fidelity": plan.fidelity,
        "plan": {
            "target": plan.target,
            "nodes": plan.nodes,
            "pairs": plan.pairs,
            "extension": plan.extension,
            "hash": plan_hash,
            "seed": plan.seed,
        },
        "pairs": pairs,
        "guards": _guards(plan, launches, pairs, wrong=wrong),
        "transport": _transport(plan, shown),
        "wrong_elements": wrong,
        "also": also_shown(plan, launches),
        "workload": asdict(plan.workload),
        "steps": asdict(plan.steps),
        "emulation": _emulation(plan),
        "hosts": max((launch["hosts"] for launch in shown), key=len, default=[]),
        "launches": [_shown(launch) for launch in shown],
        "comm": comm,
        "versions": versions(),
        "environment": _environment(shown),
    }


def _environment(launches: Sequence[Launch]) -> dict[str, str | None] | None:
    """Return the variables of the first rank, in the last launch that told them."""
    told = [found for one in launches if (found := one.get("environment")) is not None]
    return told[-1] if told else None


def efficiency(result: Mapping[str, Any]) -> float | None:
    """Return the efficiency of a result's good pairs, or None if there are none."""
    good = [pair for pair in result["pairs"] if pair["status"] == "ok"]
    return efficiency_interval(good).efficiency if good else None


def also_shown(plan: Plan, launches: Sequence[Launch]) -> dict[str, float | None]:
    """Return what is shown and not judged.

    ``efficiency_of_one``: samples per second together over as many times those of one rank by
    itself; with one rank a node, of the mean node. ``samples_per_second``: together, beside the
    ``reference`` of the plan.
    """
    good = [launch for launch in launches if launch["status"] == "ok" and launch.get("modes")]
    jobs = [one for one in good if one["kind"] == "together" and one["pair"] is not None]
    together = [one["modes"]["full"]["job_samples_per_second"] for one in jobs]
    single = [one for one in good if one["kind"] == "single"]
    alone = [one for one in good if one["kind"] == "alone" and one["ranks"] == one["nodes"]]
    ones = [
        rate
        for launch in single or alone
        for rate in launch["modes"]["full"]["samples_per_second"]
        if rate
    ]
    rate = statistics.geometric_mean(together) if together else None
    known = rate is not None and ones
    of_one = rate / (jobs[0]["ranks"] * statistics.fmean(ones)) if rate and known else None
    return {
        "efficiency_of_one": of_one,
        "samples_per_second": rate,
        "reference": plan.reference_samples_per_second,
    }


def versions() -> dict[str, str]:
    """Return the versions of what takes part."""
    found = {"python": platform.python_version(), "kernel": platform.release()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def pairs_done(plan: Plan, launches: Sequence[Launch]) -> list[Pair]:
    """Return the pairs that are whole, well or not, in their order."""
    numbers = range(plan.pairs + plan.extension)
    return [pair for number in numbers if (pair := _pair(number, launches)) is not None]


def pairs_to_do(plan: Plan, pairs: Sequence[Pair]) -> int:
    """Return how many pairs a plan asks for: those of its extension only where they may tell.

    They are done if the numbers of the first ones are inconclusive. Guards do not count here: some
    are known at the end only, and further pairs would mend none.

    Args:
        plan: that has declared them.
        pairs: that are done.
    """
    if not plan.extension:
        return plan.pairs
    first = [pair for pair in pairs if pair["order"] < plan.pairs]
    if len(first) < plan.pairs or any(pair["status"] == "failed" for pair in first):
        return plan.pairs
    word, _ = decide(efficiency_interval(first, extension=plan.extension), plan.target)
    return plan.pairs + (plan.extension if word == "INCONCLUSIVE" else 0)


def _pair(number: int, launches: Sequence[Launch]) -> Pair | None:
    """Return a pair of the result; None as long as one of its launches is still to come."""
    last = {launch["kind"]: launch for launch in launches if launch["pair"] == number}
    alone, together = last.get("alone"), last.get("together")
    if alone is None or together is None:
        return None
    states = {alone["status"], together["status"]}
    if "interrupted" in states:
        return None
    if "failed" in states:
        reason = alone.get("reason") or together.get("reason")
        return {
            "order": number,
            "alone": None,
            "together": None,
            "status": "failed",
            "reason": reason,
        }
    return {
        "order": number,
        "alone": alone["modes"]["full"]["samples_per_second"],
        "together": together["modes"]["full"]["job_samples_per_second"],
        "status": "ok",
    }


def _guards(
    plan: Plan, launches: Sequence[Launch], pairs: Sequence[Pair], *, wrong: int
) -> list[guards.Guard]:
    declared = pairs_to_do(plan, pairs)
    found = [guards.complete(len(pairs), declared), guards.slow_node(launches)]
    if plan.emulation is None:
        distinct = guards.distinct_nodes(launches)
        return [*found, distinct] if distinct else found
    rates = [rate for launch in launches for rate in launch.get("link_bits_per_second", ())]
    return [
        *found,
        guards.null_control(launches, nominal_step_seconds(plan)),
        guards.lateness(launches),
        guards.link_rate(rates, plan.emulation.link_bits_per_second),
        *guards.host_load(launches),
        guards.scale_invariance(None, None),  # until emulate knows better
        guards.right_sums(wrong),
    ]


def nominal_step_seconds(plan: Plan) -> float | None:
    """Return how long an emulated step takes that nothing holds up, by its profile.

    None if there is no profile, a loader's stalls, which come by chance, are injected, or a slow
    rank among so few that the typical one is slower as well.
    """
    if plan.emulation is None or plan.workload.kind != "profile":
        return None
    inject = plan.emulation.inject
    if inject.stall_seconds or (inject.slow_share and plan.nodes < _FEWEST_WITH_SLOW_ONE):
        return None
    return expected_step_seconds(plan)


def _transport(plan: Plan, launches: Sequence[Launch]) -> dict[str, str | None]:
    """Return what was asked for and what was seen; without a wish nothing is held against it."""
    seen = _seen_transport(launches)
    return {
        "declared": plan.transport,
        "observed": None if plan.transport is None else seen,
        "seen": seen,
    }


def _seen_transport(launches: Sequence[Launch]) -> str | None:
    """Return what all launches of all nodes went over; several are joined by a plus."""
    good = [launch for launch in launches if launch["status"] == "ok" and "transport" in launch]
    found = {launch["transport"] for launch in good if launch["pair"] is not None}
    if not found or None in found:
        return None
    return "+".join(sorted(found))


def _emulation(plan: Plan) -> dict[str, Any] | None:
    if plan.emulation is None:
        return None
    found = plan.emulation
    return {**asdict(found), "k": found.k, "link_bits_per_second": found.link_bits_per_second}


def _shown(launch: Launch) -> Launch:
    known = {name: value for name, value in launch.items() if name != "environment"}
    return {
        **known,
        "order": launch["number"],
        "seconds": launch.get("seconds"),
        "modes": launch.get("modes", {}),
        "reason": launch.get("reason", ""),
    }
