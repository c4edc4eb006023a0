"""A few whole numbers, made the same on all ranks, while training goes on.

Layer: effects (torch.distributed, imported when used); imports nothing of ours.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Protocol

Result = Callable[[], Sequence[int]]
"""Waits for the result of a reduction and returns it."""


class Reduction(Protocol):
    """Takes the maximum over all ranks; torch.distributed's, or your own (Horovod, MPI)."""

    def start(self, values: Sequence[int]) -> Result:
        """Begin to take the maximum of each value, and return at once.

        All ranks call it equally often; the n-th calls of all ranks belong together.
        """
        ...

    def close(self) -> None:
        """Give back what is held."""
        ...


class Alone:
    """A single process: its own values are the maximum."""

    def start(self, values: Sequence[int]) -> Result:
        """Return the values themselves."""
        return lambda: values

    def close(self) -> None:
        """Do nothing."""


class GlooGroup:
    """A Gloo group of its own, beside the one that gradients use.

    Gloo reduces in the background and on the CPU: no GPU is waited for, and the numbers do not
    queue behind gradients. All ranks make it at the same point of the program.
    """

    def __init__(self) -> None:
        import torch.distributed as dist

        self._dist = dist
        self._group = dist.new_group(backend="gloo")

    def start(self, values: Sequence[int]) -> Result:
        """Begin an all-reduce in the background."""
        import torch

        numbers = torch.tensor(values, dtype=torch.int64)
        work = self._dist.all_reduce(
            numbers, op=self._dist.ReduceOp.MAX, group=self._group, async_op=True
        )

        def result() -> Sequence[int]:
            work.wait()
            return tuple(numbers.tolist())

        return result

    def close(self) -> None:
        """Leave the group, if torch.distributed has not been shut down yet."""
        if self._dist.is_initialized():
            self._dist.destroy_process_group(self._group)


def has_process_group() -> bool:
    """Tell whether torch.distributed is ready, without importing torch where nobody has."""
    if "torch.distributed" not in sys.modules:
        return False
    dist = sys.modules["torch.distributed"]
    return bool(dist.is_available() and dist.is_initialized())
