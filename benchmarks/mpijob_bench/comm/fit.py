"""The alpha-beta model of a collective, fitted to measured times.

    seconds(s) = steps * alpha + factor * s / B

with the steps and factors of bandwidth.py. For allreduce by a ring that is
2 (n - 1) alpha + 2 (n - 1) / n * s / B: alpha the time that each message costs whatever its size,
B the bus bandwidth that large messages approach. Where latency and transfer overlap instead of
adding up, no pair of parameters fits all sizes; so B is taken from the large ones and alpha from
the small ones, and ``residual`` says how far the sum is off in between. A constant overhead of each
call cannot be told from alpha with one number of ranks: alpha holds both, and
``overhead_seconds`` is 0.

Layer: pure; imports bandwidth, numpy, scipy.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.optimize import nnls

from mpijob_bench.comm.bandwidth import busbw_factor, steps

FEWEST_SIZES = 3
"""Two parameters go through any two points; a third can disagree."""

_LARGE, _FEWEST_LARGE = 2.0, 2  # times as long as the shortest; sizes for a slope


class NotFittedError(ValueError):
    """These times do not give an alpha and a bandwidth."""


@dataclass(frozen=True, slots=True)
class Fit:
    """The model of one collective on one number of ranks.

    Attributes:
        alpha_seconds: of each step, the overhead of a call included.
        bandwidth_bytes_per_second: bus bandwidth for messages without end.
        overhead_seconds: of each call beside alpha; 0, see above.
        r2: share of the variance, weighted by 1 / time^2, that the model explains; at most 1.
        residual: largest distance of the model from a measured time, as a share of that time.
    """

    alpha_seconds: float
    bandwidth_bytes_per_second: float
    overhead_seconds: float
    r2: float
    residual: float

    def seconds(self, collective: str, ranks: int, size_bytes: float) -> float:
        """Return the time that the model predicts."""
        moved = busbw_factor(collective, ranks) * size_bytes
        return (
            self.overhead_seconds
            + steps(collective, ranks) * self.alpha_seconds
            + moved / self.bandwidth_bytes_per_second
        )

    def to_json(self) -> dict[str, float]:
        """Return it as plain data."""
        return asdict(self)


def fit(collective: str, ranks: int, size_bytes: Sequence[float], seconds: Sequence[float]) -> Fit:
    """Fit by least squares on the relative error, neither parameter below zero.

    B comes from the sizes that take twice as long as the shortest or longer, alpha with that B from
    the others; where not two sizes are so large, both from all.

    Args:
        collective: one of COLLECTIVES.
        ranks: how many took part, at least 2.
        size_bytes: of the total array.
        seconds: one time for each size.

    Raises:
        NotFittedError: fewer than three different sizes, one rank, or times that do not grow.
    """
    if ranks < 2:  # noqa: PLR2004 - nothing is sent by one
        raise NotFittedError("one rank sends nothing")
    if len(set(size_bytes)) < FEWEST_SIZES:
        sizes = len(set(size_bytes))
        raise NotFittedError(f"found {sizes} sizes, wanted at least {FEWEST_SIZES}")
    measured = np.asarray(seconds, dtype=float)
    columns = _columns(collective, ranks, np.asarray(size_bytes, dtype=float))
    weighted = columns / measured[:, None]
    large = measured >= _LARGE * measured.min()
    if large.sum() < _FEWEST_LARGE:
        alpha, inverse_bandwidth = _solve(weighted)
    else:
        _, inverse_bandwidth = _solve(weighted[large])
        counts, moved = weighted[~large].T
        alpha = max(float(counts @ (1 - moved * inverse_bandwidth) / (counts @ counts)), 0.0)
    if inverse_bandwidth <= 0:
        raise NotFittedError("the times do not grow with the size: larger sizes are needed")
    errors = weighted @ np.array([alpha, inverse_bandwidth]) - 1
    residual = float(np.max(np.abs(errors)))
    return Fit(float(alpha), float(1 / inverse_bandwidth), 0.0, _r2(errors, measured), residual)


def _solve(weighted: np.ndarray) -> tuple[float, float]:
    """Return alpha and 1 / B of times that columns were divided by."""
    scale = np.linalg.norm(weighted, axis=0)  # seconds beside bytes: the solver likes them alike
    found, _ = nnls(weighted / scale, np.ones(len(weighted)))
    alpha, inverse_bandwidth = found / scale
    return float(alpha), float(inverse_bandwidth)


def _columns(collective: str, ranks: int, size_bytes: np.ndarray) -> np.ndarray:
    count = np.full_like(size_bytes, steps(collective, ranks))
    return np.column_stack([count, busbw_factor(collective, ranks) * size_bytes])


def _r2(errors: np.ndarray, measured: np.ndarray) -> float:
    weights = measured**-2.0
    mean = float(np.average(measured, weights=weights))
    total = float(np.sum(weights * (measured - mean) ** 2))
    return 1 - float(np.sum(errors**2)) / total if total > 0 else 0.0
