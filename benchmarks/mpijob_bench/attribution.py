"""Where the lost points went: the efficiency of each pair as a product of four factors.

A node by itself needs t_A a step; as one job, t_B if nothing is exchanged (mode ``local``), t_C if
every bucket is one element (``tiny``), t_D as it trains (``full``). So

    E = t_A/t_D = [t_A / mean t_B] x [mean t_B / max t_B] x [max t_B / t_C] x [t_C / t_D]

which are compute scaling, load balance, serialisation and transfer: the factors of the POP model
(https://co-design.pop-coe.eu/metrics/), with its simulation of an ideal network replaced by an
experiment. All nodes have the same samples a step (weak scaling), so times are replaced by rates
and the samples cancel. ``mean`` is then the harmonic mean of times, in t_A as in t_B: if every node
is as fast in the job as alone, compute scaling is 1, however different the nodes are. ``max`` is of
the node that is the slowest in the other pairs, so that noise is not taken for a slow node.

Intervals are Student's t on the logs over pairs, with each bound at 95 % by itself (one-sided), as
the gate's of a plan without an extension; low and high together are a two-sided 90 % interval.

Layer: pure; imports numpy, and verdict for the interval.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mpijob_bench.verdict import exp_or_infinite, log_bounds

Factor = Literal["compute", "balance", "serialisation", "transfer"]
FACTORS: tuple[Factor, ...] = ("compute", "balance", "serialisation", "transfer")
Floats = NDArray[np.float64]

_MODES = ("full", "local", "tiny")
_NEXT_TO_NOTHING = 1e-9


@dataclass(frozen=True, slots=True)
class PairFactors:
    """The four factors of one pair.

    Attributes:
        pair: its number.
        efficiency: of the pair: samples per second together / sum of those alone.
        factors: by name; their product is the efficiency.
    """

    pair: int
    efficiency: float
    factors: Mapping[Factor, float]


@dataclass(frozen=True, slots=True)
class Term:
    """A factor over all pairs, and what it costs.

    Attributes:
        name: of the factor.
        factor: geometric mean over pairs; above 1 is a gain.
        low: its lower 95 % bound, 0 if one pair tells nothing of the spread.
        high: its upper 95 % bound, infinite likewise.
        points: lost efficiency, as a share of 1; the terms' add up to 1 - E; negative is a gain.
        points_low: of ``high``.
        points_high: of ``low``.
    """

    name: Factor
    factor: float
    low: float
    high: float
    points: float
    points_low: float
    points_high: float


@dataclass(frozen=True, slots=True)
class Attribution:
    """Where an efficiency went.

    Attributes:
        efficiency: geometric mean over the pairs that have all modes, or None if none has.
        terms: one a factor; empty if only the efficiency is known.
        pairs: what they come from.
        missing: why there are no terms, or why pairs are left out; empty if nothing is missing.
    """

    efficiency: float | None
    terms: tuple[Term, ...]
    pairs: tuple[PairFactors, ...]
    missing: str = ""


def attribute(launches: Sequence[Mapping[str, Any]]) -> Attribution:
    """Return where the efficiency of a result's launches went.

    Args:
        launches: ``result["launches"]``; failed and interrupted ones are left out.
    """
    pairs = [*paired(launches)]
    whole = [pair for pair in pairs if all(mode in pair[2]["modes"] for mode in _MODES)]
    partial = len(pairs) - len(whole)
    if not whole:
        return Attribution(None, (), (), _why_nothing(partial))
    rates = [_local_rates(together) for _, _, together in whole]
    good = [
        pair_factors(*pair, slowest=slowest_elsewhere(rates, place))
        for place, pair in enumerate(whole)
    ]
    missing = f"{partial} pairs have not all modes and are left out" if partial else ""
    mean_log = math.fsum(math.log(pair.efficiency) for pair in good) / len(good)
    terms = tuple(_term(name, good, mean_log) for name in FACTORS)
    return Attribution(math.exp(mean_log), terms, tuple(good), missing)


def _why_nothing(partial: int) -> str:
    if partial:
        return (
            "only E is known: the launches have no modes local and tiny (a program of the user's"
            " own has neither)"
        )
    return "only E is known: the result has no pair of launches that both ended well"


def paired(
    launches: Sequence[Mapping[str, Any]],
) -> Iterator[tuple[int, Mapping[str, Any], Mapping[str, Any]]]:
    """Yield number, alone and together of each pair whose launches both ended well.

    A later launch replaces an earlier one of the same kind: an interrupted run goes on.
    """
    found: dict[int, dict[str, Mapping[str, Any]]] = {}
    for launch in launches:
        if launch.get("pair") is not None and launch["status"] == "ok":
            found.setdefault(int(launch["pair"]), {})[launch["kind"]] = launch
    for number, kinds in sorted(found.items()):
        if kinds.keys() >= {"alone", "together"}:
            yield number, kinds["alone"], kinds["together"]


def slowest_elsewhere(rates: Sequence[Floats], place: int) -> int:
    """Return the node that is the slowest in all pairs but one; of a single pair, in that.

    The lowest of many noisy rates is below their mean even if no node is slower than the others, so
    a pair that chose its own slowest would call noise load balance.

    Args:
        rates: of the nodes without communication, for each pair.
        place: of the pair to leave out.
    """
    others = [found for number, found in enumerate(rates) if number != place] or rates
    return int(np.log(others).mean(axis=0).argmin())


def pair_factors(
    number: int, alone: Mapping[str, Any], together: Mapping[str, Any], *, slowest: int
) -> PairFactors:
    """Return the factors of one pair; the rates of all four modes must be above 0.

    Args:
        number: of the pair.
        alone: its launch of nodes by themselves.
        together: its launch with the modes full, local and tiny.
        slowest: which node is the slowest (slowest_elsewhere).
    """
    rates_alone = np.asarray(alone["modes"]["full"]["samples_per_second"], dtype=float)
    modes = together["modes"]
    rates_local = _local_rates(together)
    tiny = float(modes["tiny"]["job_samples_per_second"])
    full = float(modes["full"]["job_samples_per_second"])
    slowest_rate = float(rates_local[slowest]) * len(rates_local)
    factors: dict[Factor, float] = {
        "compute": float(rates_local.sum() / rates_alone.sum()),
        "balance": slowest_rate / float(rates_local.sum()),
        "serialisation": tiny / slowest_rate,
        "transfer": full / tiny,
    }
    return PairFactors(number, full / float(rates_alone.sum()), factors)


def _local_rates(together: Mapping[str, Any]) -> Floats:
    return np.asarray(together["modes"]["local"]["samples_per_second"], dtype=float)


def points_per_log(log_efficiency: float) -> float:
    """Return what a factor of log -1 costs, as a share of 1: (1 - E) / -ln E.

    So that loss_i = (1 - E) ln f_i / sum of ln f; at E = 1, where both sums are nothing, its limit
    is 1, and gains and losses that cancel keep their sizes.
    """
    if abs(log_efficiency) < _NEXT_TO_NOTHING:
        return 1.0
    return math.expm1(log_efficiency) / log_efficiency


def _term(name: Factor, pairs: Sequence[PairFactors], log_efficiency: float) -> Term:
    mean, low, high = log_bounds(np.log([pair.factors[name] for pair in pairs]))
    price = points_per_log(log_efficiency)
    return Term(
        name=name,
        factor=exp_or_infinite(mean),
        low=exp_or_infinite(low),
        high=exp_or_infinite(high),
        points=float(-price * mean),
        points_low=float(-price * high),
        points_high=float(-price * low),
    )
