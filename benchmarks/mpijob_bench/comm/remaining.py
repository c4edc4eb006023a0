"""How long a sweep will still take, from what it has measured so far.

Layer: pure; imports options.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mpijob_bench.comm.options import Sweep, count_in_a_row, count_iterations

_SIZES_TO_SEE = 3


@dataclass(slots=True)
class Remaining:
    """Counts down a sweep.

    Attributes:
        sweep: what is measured.
        sizes: in bytes, those that the ranks' memory allows; empty until it is known.
        done: how many pairs of a collective and a size are.
    """

    sweep: Sweep
    sizes: Sequence[int] = ()
    done: int = 0
    _known: dict[int, float] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many pairs of a collective and a size there are."""
        return len(self.sweep.collectives) * len(self.sizes)

    def note(self, size_bytes: int, seconds: float) -> None:
        """Take the median iteration of the next pair."""
        self.done += 1
        self._known[size_bytes] = seconds

    def seconds(self) -> float | None:
        """Return the time left, or None before three sizes have shown how times grow."""
        if len(self._known) < _SIZES_TO_SEE:
            return None
        todo = [*self.sizes] * len(self.sweep.collectives)
        return sum(self._cost(size) for size in todo[self.done :])

    def _cost(self, size: int) -> float:
        iteration = self._known.get(size) or self._beyond(size)
        timed = count_iterations(self.sweep, iteration)
        return (self.sweep.warmup + timed + 1 + count_in_a_row(timed)) * iteration

    def _beyond(self, size: int) -> float:
        """Return the time of an iteration of a larger size, by the slope of the last two."""
        before, largest = sorted(self._known)[-2:]
        slope = (self._known[largest] - self._known[before]) / (largest - before)
        return self._known[largest] + max(0.0, slope) * (size - largest)
