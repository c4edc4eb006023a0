"""How even the steps of a launch were: where they lie, how they spread, which stand out.

Layer: pure.
"""

import itertools
import math
import statistics
from collections.abc import Sequence

WINDOW = 10
"""Steps whose median is compared with that of as many before, to see whether they drift."""

_MOST_DRIFT = 0.005  # of a step, from one window to the next
_NOISE = 3.0  # errors by which medians of steady steps hardly ever differ
_MEDIAN_ERROR = 1.2533  # of a median, times deviation / sqrt(n): sqrt(pi / 2), for a normal one

_MAD_TO_DEVIATION = 1.4826  # of a normal distribution
_SPIKE_DEVIATIONS = 5.0  # of a normal distribution one step in three million is further up
_SPIKE_SHARE = 0.1
_FEWEST_FOR_CORRELATION = 8


def summarise_seconds(values: Sequence[float]) -> dict[str, float]:
    """Return location and spread of durations in seconds; ``mad`` as a standard deviation."""
    ordered = sorted(values)
    if not ordered:
        return {}
    mean = math.fsum(ordered) / len(ordered)
    p50, deviation = _location(ordered)
    spread = statistics.stdev(ordered) if len(ordered) > 1 else 0.0
    return {
        "mean": mean,
        "p50": p50,
        "p90": ordered[math.ceil(0.90 * len(ordered)) - 1],
        "p99": ordered[math.ceil(0.99 * len(ordered)) - 1],
        "max": ordered[-1],
        "cv": spread / mean if mean else 0.0,
        "mad": deviation,
    }


def count_spikes(slowest: Sequence[float], fastest: Sequence[float]) -> dict[str, float]:
    """Return how many steps stand out, and whether all ranks were slow in them or some only.

    A spike is a step above the median by more than five deviations (by the MAD, which spikes do
    not move) and more than a tenth of it. All ranks points to what they share: power, a file
    system. Some only points to those: a loader, a neighbour, an interrupt. It tells them apart
    where ranks do not wait for each other; where they do, one holds up all. There ranks drift
    apart, too, so that a stall of all that is shorter than their distance is of some.

    Args:
        slowest: seconds of each step's slowest rank.
        fastest: of its fastest one; as many. All ranks were slow where this is a spike of its own.

    Returns:
        ``limit_seconds`` of the slowest, ``all_ranks``, ``some_ranks``; empty without steps.
    """
    if not slowest:
        return {}
    limit, limit_of_fastest = _spike_limit(slowest), _spike_limit(fastest)
    spikes = [low for high, low in zip(slowest, fastest, strict=True) if high > limit]
    of_all = sum(low > limit_of_fastest for low in spikes)
    return {"limit_seconds": limit, "all_ranks": of_all, "some_ranks": len(spikes) - of_all}


def neighbour_correlation(values: Sequence[float]) -> float | None:
    """Return the correlation of each step with the next; None of few steps or equal ones.

    Near 0 steps are independent. Well above it, they are slow in spells, and more steps of the same
    launch tell less than their number promises: one reason why launches are what is counted.
    """
    if len(values) < _FEWEST_FOR_CORRELATION or min(values) == max(values):
        return None
    mean = statistics.fmean(values)
    away = [value - mean for value in values]
    products = math.fsum(one * other for one, other in itertools.pairwise(away))
    return products / math.fsum(one * one for one in away)


def is_drifting(seconds: Sequence[float]) -> bool | None:
    """Return whether steps still get shorter or longer: warm-up is not over.

    By medians of the last two windows: they differ by more than half a per cent, and by more than
    chance explains.

    Args:
        seconds: of steps in their order.

    Returns:
        None of fewer than two windows.
    """
    if len(seconds) < 2 * WINDOW:
        return None
    before, after = _location(seconds[-2 * WINDOW : -WINDOW]), _location(seconds[-WINDOW:])
    error = _MEDIAN_ERROR * math.hypot(before[1], after[1]) / math.sqrt(WINDOW)
    return abs(after[0] - before[0]) > max(_MOST_DRIFT * before[0], _NOISE * error)


def _spike_limit(values: Sequence[float]) -> float:
    p50, deviation = _location(values)
    return p50 + max(_SPIKE_DEVIATIONS * deviation, _SPIKE_SHARE * p50)


def _location(values: Sequence[float]) -> tuple[float, float]:
    """Return the median and the MAD as a standard deviation."""
    p50 = statistics.median(values)
    return p50, _MAD_TO_DEVIATION * statistics.median(abs(value - p50) for value in values)
