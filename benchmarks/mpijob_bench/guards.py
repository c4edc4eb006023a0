"""Conditions without which a result's numbers mean nothing. Pure.

G1 to G7 are of emulated runs (docs/benchmarks.md); slow nodes are looked for in all.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Guard = dict[str, Any]
Launches = Sequence[Mapping[str, Any]]

MOST_NULL_LOSS = 0.01
MOST_LATENESS = 0.02
MOST_LINK_ERROR = 0.03
MOST_PRESSURE = 0.10
LEAST_IDLE = 0.20
MOST_STOLEN = 0.02
MOST_SCALE_DIFFERENCE = 0.02
MOST_PREDICTION_ERROR = 0.03
LEAST_SLOW_NODE_INDEX = 0.95

PAYLOAD_SHARE = 1448 / 1514
"""Of an Ethernet frame: 1500 bytes less 52 of IP, TCP and timestamps, and 14 around it."""


def complete(pairs: int, declared: int) -> Guard:
    """Return whether all pairs were done that were declared; to stop early is to choose."""
    return _guard("complete", pairs, declared, least=True)


def slow_node(launches: Launches) -> Guard:
    """Return whether some node alone is much slower than the median of all."""
    per_launch = [
        launch["modes"]["full"]["samples_per_second"] for launch in _good(launches, "alone")
    ]
    nodes = [statistics.fmean(rates) for rates in zip(*per_launch, strict=True)]
    index = min(nodes) / statistics.median(nodes) if nodes else None
    return _guard("slow_node_index", index, LEAST_SLOW_NODE_INDEX, least=True)


def distinct_nodes(launches: Launches) -> Guard | None:
    """Return on how many machines the nodes of a launch were, by their kernels' boot ids.

    None if ranks do not tell: a program of the user's own.
    """
    told = [launch["boot_ids"] for launch in _good(launches, "together") if "boot_ids" in launch]
    known = [ids for ids in told if None not in ids]
    if not known:
        return None
    return _guard("distinct_nodes", min(len(set(i)) for i in known), len(known[0]), least=True)


def null_control(launches: Launches, nominal_seconds: float | None = None) -> Guard:
    """Return by how much eight nodes differ from one without any communication (G1).

    Nodes alone share this machine as well, so they say nothing of a machine that is overloaded in
    both; the profile's own step does. The larger of both differences counts.

    Args:
        launches: of the run.
        nominal_seconds: of a step that nothing holds up, as the profile has it; None if injected
            faults make that unknown.
    """
    alone = {launch["pair"]: launch for launch in _good(launches, "alone")}
    losses = []
    for launch in _good(launches, "together"):
        local = launch["modes"].get("local")
        if launch["pair"] in alone and local:
            rates = alone[launch["pair"]]["modes"]["full"]["samples_per_second"]
            losses.append(abs(1 - math.fsum(local["samples_per_second"]) / math.fsum(rates)))
    loss = statistics.fmean(losses) if losses else None
    if loss is not None and nominal_seconds is not None:
        seconds = [each for one in alone.values() for each in one["modes"]["full"]["mean_seconds"]]
        loss = max(loss, abs(1 - nominal_seconds / statistics.median(seconds)))
    return _guard("G1_null_control", loss, MOST_NULL_LOSS)


def lateness(launches: Launches) -> Guard:
    """Return how late waits ended, as shares of the phase: the worst launch's worst p99 (G2)."""
    return _guard("G2_lateness_p99", max(_told(launches, "late_p99"), default=None), MOST_LATENESS)


def link_rate(rates: Sequence[float], link_bits_per_second: float) -> Guard:
    """Return how far the worst link is from what its frames can carry (G3).

    Args:
        rates: payload in bits a second that came over each link.
        link_bits_per_second: that links are shaped to.
    """
    wanted = link_bits_per_second * PAYLOAD_SHARE
    worst = max((abs(rate / wanted - 1) for rate in rates), default=None)
    return _guard("G3_link_rate_error", worst, MOST_LINK_ERROR)


def host_load(launches: Launches) -> list[Guard]:
    """Return whether this machine has kept up in the worst launch (G4).

    Some process waited for a processor; processors were idle; a virtual machine's were given to
    others.
    """
    waited, stolen, idle = (_told(launches, f"cpu_{name}") for name in ("waited", "stolen", "idle"))
    return [
        _guard("G4_cpu_stolen", max(stolen, default=None), MOST_STOLEN),
        _guard("G4_cpu_pressure", max(waited, default=None), MOST_PRESSURE),
        _guard("G4_cpu_idle", min(idle, default=None), LEAST_IDLE, least=True),
    ]


def scale_invariance(efficiency: float | None, at_double: float | None) -> Guard:
    """Return by how much the result depends on the scale (G5)."""
    known = efficiency is not None and at_double is not None
    difference = abs(efficiency - at_double) if known else None  # type: ignore[operator]
    return _guard("G5_scale_difference", difference, MOST_SCALE_DIFFERENCE)


def right_sums(wrong_elements: int) -> Guard:
    """Return whether all sums were right (G6)."""
    return _guard("G6_wrong_elements", wrong_elements, 0)


def prediction(efficiency: float | None, predicted: float | None) -> Guard:
    """Return by how much result and independent prediction differ (G7)."""
    known = efficiency is not None and predicted is not None
    difference = abs(efficiency - predicted) if known else None  # type: ignore[operator]
    return _guard("G7_prediction_difference", difference, MOST_PREDICTION_ERROR)


def _told(launches: Launches, key: str) -> list[float]:
    return [launch[key] for launch in launches if launch.get(key) is not None]


def _good(launches: Launches, kind: str) -> Iterable[Mapping[str, Any]]:
    for launch in launches:
        if launch["kind"] == kind and launch["status"] == "ok" and launch["pair"] is not None:
            yield launch


def _guard(name: str, value: float | None, limit: float, *, least: bool = False) -> Guard:
    """Return a guard; what is not known does not hold."""
    ok = value is not None and (value >= limit if least else value <= limit)
    return {"name": name, "ok": ok, "value": value, "limit": limit}
