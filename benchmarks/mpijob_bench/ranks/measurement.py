"""One collective at one size: arrays, iterations, and the elements that came out wrong."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from mpijob_bench.comm.options import ELEMENT_BYTES, Sweep, count_in_a_row, count_iterations
from mpijob_bench.ranks.backends import Backend
from mpijob_bench.ranks.patterns import Pattern

Clock = Callable[[], float]
_UNWRITTEN = -1.0
_NANOSECOND_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Measured:
    """What one rank has measured of a collective at one size.

    Attributes:
        seconds: of each timed iteration, which all ranks have begun together.
        in_a_row_seconds: of an iteration that follows another, the mean of several.
        wrong_elements: of all iterations that were looked at.
    """

    seconds: list[float]
    in_a_row_seconds: float
    wrong_elements: int


class Measurement:
    """The arrays of one collective at one size, and what is done with them.

    Args:
        backend: runs the collective.
        pattern: what the arrays hold.
        collective: its name.
        size_bytes: of the total array; a whole number of floats for each rank.
    """

    def __init__(
        self, backend: Backend, pattern: Pattern, collective: str, size_bytes: int
    ) -> None:
        self._backend, self._pattern, self._collective = backend, pattern, collective
        total = size_bytes // ELEMENT_BYTES
        share = total // backend.ranks
        sent = {"all_gather": share, "reduce_scatter": total, "all_to_all": total}
        self._share = share
        self._in_place = collective not in sent
        self._receive = self._array(share if collective == "reduce_scatter" else total)
        self._send = self._receive if self._in_place else self._array(sent[collective])

    def iterate(
        self, *, clock: Clock = time.perf_counter, corrupt: bool = False
    ) -> tuple[float, int]:
        """Run it once, all ranks having met before, and return its seconds and wrong elements."""
        self._prepare()
        self._backend.barrier()
        began = clock()
        self._backend.run(self._collective, self._send, self._receive)
        seconds = clock() - began
        if corrupt:
            self._receive[len(self._receive) // 2] += 1
        return round(seconds, _NANOSECOND_DIGITS), self._count_wrong()

    def repeat(self, times: int, *, clock: Clock = time.perf_counter) -> float:
        """Run it so often without meeting in between, and return the seconds of one.

        One more that is not timed comes first, so how late ranks leave the barrier is not in it.
        Nobody looks at the elements: they are sums of sums.
        """
        self._prepare()
        self._backend.barrier()
        self._backend.run(self._collective, self._send, self._receive)
        began = clock()
        for _ in range(times):
            self._backend.run(self._collective, self._send, self._receive)
        return round((clock() - began) / times, _NANOSECOND_DIGITS)

    def _array(self, elements: int) -> torch.Tensor:
        return torch.empty(elements, dtype=torch.float32, device=self._backend.device)

    def _prepare(self) -> None:
        """Fill the arrays anew: nothing that an earlier iteration left can pass for a result."""
        receives_only = self._collective == "broadcast" and self._backend.rank > 0
        if receives_only or not self._in_place:
            self._receive.fill_(_UNWRITTEN)
        if not receives_only:
            self._pattern.fill(self._send, rank=self._backend.rank)

    def _count_wrong(self) -> int:
        rank, count = self._backend.rank, self._pattern.count_wrong
        match self._collective:
            case "all_reduce":
                return count(self._receive)
            case "reduce_scatter":
                return count(self._receive, first=rank * self._share)
            case "broadcast":
                return count(self._receive, rank=0)
        first = rank * self._share if self._collective == "all_to_all" else 0
        parts = self._receive.split(self._share)
        return sum(count(part, first=first, rank=source) for source, part in enumerate(parts))


def measure(
    backend: Backend, pattern: Pattern, sweep: Sweep, collective: str, size_bytes: int
) -> Measured:
    """Measure a collective at one size, on this rank.

    Warm-up iterations are checked, too. How many are timed depends on the slowest rank's last
    warm-up iteration, so all ranks do as many.
    """
    measurement = Measurement(backend, pattern, collective, size_bytes)
    warm = [measurement.iterate() for _ in range(sweep.warmup)]
    slowest = max(backend.gather(warm[-1][0]))
    iterations = count_iterations(sweep, slowest)
    timed = [
        measurement.iterate(corrupt=sweep.corrupt and backend.rank == 0 and number == 0)
        for number in range(iterations)
    ]
    return Measured(
        [seconds for seconds, _ in timed],
        measurement.repeat(count_in_a_row(iterations)),
        sum(wrong for _, wrong in [*warm, *timed]),
    )
