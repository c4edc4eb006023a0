"""What the charts show of a result, as numbers.

Layer: pure; imports attribution, verdict, predict.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np

from mpijob_bench.attribution import paired
from mpijob_bench.predict import Setup, predict
from mpijob_bench.verdict import (
    CONFIDENCE,
    confidence_of,
    exp_or_infinite,
    log_bounds,
    pair_efficiency,
)


@dataclass(frozen=True, slots=True)
class Point:
    """Launches of one number of nodes.

    Attributes:
        nodes: how many.
        rate: samples per second, geometric mean over launches.
        rate_low: lower 95 % bound; None from one launch alone.
        rate_high: upper 95 % bound; None from one launch alone.
        efficiency: rate / what these nodes have alone.
        low: its lower 95 % bound, or None.
        high: its upper 95 % bound, or None.
        launches: how many.
    """

    nodes: int
    rate: float
    rate_low: float | None
    rate_high: float | None
    efficiency: float
    low: float | None
    high: float | None
    launches: int


@dataclass(frozen=True, slots=True)
class ModelPoint:
    """What the model says of a number of nodes."""

    nodes: int
    rate: float
    efficiency: float


@dataclass(frozen=True, slots=True)
class Drift:
    """A launch against the others of its kind.

    Attributes:
        order: of all launches, from 1.
        kind: ``alone`` or ``together``.
        deviation: rate / geometric mean of its kind - 1; None if it did not end well.
        status: of the launch.
    """

    order: int
    kind: str
    deviation: float | None
    status: str


def points(result: Mapping[str, Any]) -> tuple[Point, ...]:
    """Return what was measured, by number of nodes; empty if no pair is good."""
    good = [pair for pair in result["pairs"] if pair["status"] == "ok"]
    if not good:
        return ()
    nodes = int(result["plan"]["nodes"])
    alone = [math.fsum(pair["alone"]) / len(pair["alone"]) for pair in good]
    together = [float(pair["together"]) for pair in good]
    first = _point(1, alone, [1.0] * len(alone))
    first = replace(first, low=None, high=None)
    confidence = confidence_of(result["plan"].get("extension", 0))
    efficiencies = [pair_efficiency(pair) for pair in good]
    last = _point(nodes, together, efficiencies, confidence=confidence)
    return (first, *_curve(result, nodes), last)


def doublings(found: Sequence[Point]) -> dict[int, float]:
    """Return nodes -> efficiency over that of half as many, where both were measured.

    With equal nodes it is T_2k / 2 T_k. It tells at which size the scaling breaks, which an
    efficiency against nodes alone hides.
    """
    known = {point.nodes: point.efficiency for point in found}
    return {
        nodes: efficiency / known[nodes // 2]
        for nodes, efficiency in known.items()
        if nodes % 2 == 0 and nodes // 2 in known
    }


def _point(
    nodes: int,
    rates: Sequence[float],
    efficiencies: Sequence[float],
    *,
    confidence: float = CONFIDENCE,
) -> Point:
    rate, rate_low, rate_high = _bounds(rates, CONFIDENCE)
    efficiency, low, high = _bounds(efficiencies, confidence)
    return Point(nodes, rate, rate_low, rate_high, efficiency, low, high, len(rates))


def _bounds(values: Sequence[float], confidence: float) -> tuple[float, float | None, float | None]:
    logs = log_bounds(np.log(np.asarray(values, dtype=float)), confidence=confidence)
    mean, low, high = (exp_or_infinite(float(log)) for log in logs)
    return (mean, None, None) if len(values) == 1 else (mean, low, high)


def _curve(result: Mapping[str, Any], nodes: int) -> list[Point]:
    launches = result.get("launches") or ()
    alone = _alone_rates(launches)
    overall = fmean(alone.values()) if alone else None
    found: dict[int, list[tuple[float, float]]] = {}
    for launch in launches:
        if launch["status"] != "ok" or launch["kind"] != "together" or overall is None:
            continue
        if launch.get("pair") is not None or not 1 < launch["nodes"] < nodes:
            continue
        rate = float(launch["modes"]["full"]["job_samples_per_second"])
        hosts = launch.get("hosts") or [""] * int(launch["nodes"])
        base = math.fsum(alone.get(host, overall) for host in hosts)
        found.setdefault(launch["nodes"], []).append((rate, rate / base))
    return [_point(count, *zip(*both, strict=True)) for count, both in sorted(found.items())]


def _alone_rates(launches: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return host -> samples per second alone, the mean over pairs."""
    rates: dict[str, list[float]] = {}
    for number, alone, _ in paired(launches):
        each = alone["modes"]["full"]["samples_per_second"]
        hosts = alone.get("hosts") or [f"{number}-{node}" for node in range(len(each))]
        for host, rate in zip(hosts, each, strict=False):
            rates.setdefault(host, []).append(rate)
    return {host: fmean(values) for host, values in rates.items()}


def model_points(setup: Setup | None, found: Sequence[Point], nodes: int) -> tuple[ModelPoint, ...]:
    """Return the model's curve over all numbers of nodes up to the last."""
    if setup is None or not found:
        return ()
    alone, ranks_a_node = found[0].rate, max(setup.ranks // nodes, 1)
    counts = sorted(
        {round(one) for one in np.geomspace(1, nodes, 24)} | {one.nodes for one in found}
    )
    curve = []
    for count in counts:
        efficiency = predict(setup.with_ranks(count * ranks_a_node)).efficiency if count > 1 else 1
        curve.append(ModelPoint(count, alone * count * efficiency, efficiency))
    return tuple(curve)


def drift(result: Mapping[str, Any]) -> tuple[Drift, ...]:
    """Return each launch of a pair against the mean of its kind, in their order."""
    launches = [one for one in result.get("launches") or () if one.get("pair") is not None]
    rates = [_total_rate(one) for one in launches]
    logs: dict[str, list[float]] = {}
    for one, rate in zip(launches, rates, strict=True):
        if rate:
            logs.setdefault(one["kind"], []).append(math.log(rate))
    means = {kind: fmean(values) for kind, values in logs.items()}
    return tuple(
        Drift(
            order=number,
            kind=one["kind"],
            deviation=math.expm1(math.log(rate) - means[one["kind"]]) if rate else None,
            status=one["status"],
        )
        for number, (one, rate) in enumerate(zip(launches, rates, strict=True), 1)
    )


def _total_rate(launch: Mapping[str, Any]) -> float | None:
    if launch["status"] != "ok":
        return None
    full = launch["modes"]["full"]
    if launch["kind"] == "alone":
        return math.fsum(full["samples_per_second"])
    return float(full["job_samples_per_second"])


def alone_launches(result: Mapping[str, Any]) -> frozenset[int]:
    """Return the numbers of launches whose nodes were a job each."""
    launches = result.get("launches") or ()
    return frozenset(one["number"] for one in launches if one["kind"] == "alone")


def mapped_launch(result: Mapping[str, Any]) -> int | None:
    """Return the number of the launch whose ranks are mapped: the slowest one of all nodes."""
    found = [(_total_rate(together), together["number"]) for _, _, together in _pairs(result)]
    return min((number for number in found if number[0]), default=(None, None))[1]


def _pairs(
    result: Mapping[str, Any],
) -> list[tuple[int, Mapping[str, Any], Mapping[str, Any]]]:
    return list(paired(result.get("launches") or ()))
