"""What an allreduce costs: as measured where it was measured, by the fitted line outside.

The line c(s) = 2(n-1) alpha + 2(n-1)/n s/B (Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005,
for a ring) has two parameters, and real allreduces bend: algorithms and protocols change with
size, caches end. So inside the sweep the measured time is interpolated, linearly in the size,
which is exact where the line holds. Beyond the largest size the line's slope must do; below the
smallest its time less what a smaller one saves on the wire; for other numbers of ranks the line.

Layer: pure; imports numpy, and comm.summary for what is typical of iterations.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mpijob_bench.comm.summary import typical_seconds

ALL_REDUCE = "all_reduce"


@dataclass(frozen=True, slots=True)
class Allreduce:
    """The cost of an allreduce.

    Attributes:
        ranks: that took part in the measurement.
        alpha_seconds: a message's latency, with what an operation costs besides.
        bytes_per_second: bus bandwidth, B.
        sizes_bytes: of the sweep, ascending; may be empty.
        seconds: measured at these sizes.
        speedup: of the bandwidth alone, for a what-if.
    """

    ranks: int
    alpha_seconds: float
    bytes_per_second: float
    sizes_bytes: tuple[int, ...] = ()
    seconds: tuple[float, ...] = ()
    speedup: float = 1.0

    @property
    def line(self) -> "Allreduce":
        """The same by alpha and B alone, whatever was measured."""
        return replace(self, sizes_bytes=(), seconds=())

    def cost_seconds(self, size_bytes: float, *, ranks: int | None = None) -> float:
        """Return the seconds of one allreduce.

        For another number of ranks, the line's cost with the ratio of measured to line here.

        Args:
            size_bytes: that each rank has.
            ranks: that take part; by default as many as in the measurement.
        """
        wanted = self.ranks if ranks is None else ranks
        if wanted == 1:
            return 0.0
        now = self._measured(size_bytes)
        if wanted != self.ranks:
            now *= self._line(size_bytes, wanted) / self._line(size_bytes, self.ranks)
        faster = now - self._transfer(size_bytes, wanted) * (1 - 1 / self.speedup)
        latency = min(now, self._line(0, wanted))
        return max(faster, now / self.speedup, latency)

    def _measured(self, size: float) -> float:
        line = self._line(size, self.ranks)
        if not self.sizes_bytes:
            return line
        if size < self.sizes_bytes[0]:
            first = self.seconds[0]
            saved = self._transfer(self.sizes_bytes[0] - size, self.ranks)
            return min(max(first - saved, line), first)
        beyond = max(size - self.sizes_bytes[-1], 0.0)
        inside = float(np.interp(size, self.sizes_bytes, self.seconds))
        return inside + self._transfer(beyond, self.ranks)

    def _line(self, size: float, ranks: int) -> float:
        return 2 * (ranks - 1) * self.alpha_seconds + self._transfer(size, ranks)

    def _transfer(self, size: float, ranks: int) -> float:
        return 2 * (ranks - 1) / ranks * size / self.bytes_per_second


def allreduce_of(comm: Mapping[str, Any] | None) -> Allreduce | None:
    """Return the cost that a result's ``comm`` tells, or None if it has no fit of allreduce."""
    fit = ((comm or {}).get("fits") or {}).get(ALL_REDUCE)
    if not comm or not fit or not fit.get("bandwidth_bytes_per_second"):
        return None
    ranks = int(comm["ranks"])
    if ranks == 1:
        return None
    overhead = float(fit.get("overhead_seconds") or 0.0)
    points = sorted(
        (int(row["bytes"]), typical_seconds(row))
        for row in comm.get("results", ())
        if row["collective"] == ALL_REDUCE
    )
    return Allreduce(
        ranks=ranks,
        alpha_seconds=float(fit["alpha_seconds"]) + overhead / (2 * max(ranks - 1, 1)),
        bytes_per_second=float(fit["bandwidth_bytes_per_second"]),
        sizes_bytes=tuple(size for size, _ in points),
        seconds=tuple(seconds for _, seconds in points),
    )
