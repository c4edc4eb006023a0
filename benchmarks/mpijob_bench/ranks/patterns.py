"""Arrays of whole numbers whose collective is known exactly, and the count of wrong elements.

Element i of rank r's array is ``i mod 251 + r mod 1021``. Sums over ranks stay below 2^24 up to
13,000 ranks, so float32 holds them exactly in whatever order they are summed; 251 divides no size
of a power of two, so an array that is displaced or belongs to another rank shows.
"""

from collections.abc import Iterator

import torch

_PERIOD = 251
_RANKS = 1021
_CHUNK_PERIODS = 4096  # a chunk of 4 MB: the check needs no second array


class Pattern:
    """The pattern on a device.

    Args:
        ranks: how many there are.
        device: where the arrays are.
    """

    def __init__(self, ranks: int, device: torch.device) -> None:
        self._ranks = ranks
        chunk = _PERIOD * (_CHUNK_PERIODS + 1)
        self._base = (torch.arange(chunk, device=device) % _PERIOD).to(torch.float32)
        self._rank_sum = float(sum(rank % _RANKS for rank in range(ranks)))

    def fill(self, array: torch.Tensor, *, rank: int) -> None:
        """Write what a rank contributes."""
        for start, part in chunks(array):
            torch.add(self._part(start, len(part)), float(rank % _RANKS), out=part)

    def count_wrong(self, array: torch.Tensor, *, first: int = 0, rank: int | None = None) -> int:
        """Return how many elements are not what they should be; NaN is wrong, too.

        Args:
            array: what a collective left.
            first: which element of the whole array is its first.
            rank: whose contribution it should be; None if the sum over all ranks.
        """
        scale = 1.0 if rank is not None else float(self._ranks)
        shift = float(rank % _RANKS) if rank is not None else self._rank_sum
        wrong = 0
        for start, part in chunks(array):
            wanted = self._part(first + start, len(part)) * scale + shift
            wrong += int((part != wanted).sum())
        return wrong

    def _part(self, start: int, length: int) -> torch.Tensor:
        offset = start % _PERIOD
        return self._base[offset : offset + length]


def chunks(array: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield the start and a view of each piece."""
    length = _PERIOD * _CHUNK_PERIODS
    for start in range(0, len(array), length):
        yield start, array[start : start + length]
