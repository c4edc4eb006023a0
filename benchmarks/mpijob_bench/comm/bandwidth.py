"""Algorithm and bus bandwidth of collectives, as nccl-tests defines them.

Source: github.com/NVIDIA/nccl-tests, doc/PERFORMANCE.md. S is the total array: what all ranks
together contribute to an all_gather or get from a reduce_scatter, and what each rank sends, its
own part included, in an all_to_all.

Layer: pure.
"""

import math
from collections.abc import Callable, Mapping

_FACTORS: Mapping[str, Callable[[int], float]] = {
    "all_reduce": lambda n: 2 * (n - 1) / n,
    "all_gather": lambda n: (n - 1) / n,
    "reduce_scatter": lambda n: (n - 1) / n,
    "broadcast": lambda _n: 1.0,
    "all_to_all": lambda n: (n - 1) / n,
}
_STEPS: Mapping[str, Callable[[int], int]] = {
    "all_reduce": lambda n: 2 * (n - 1),
    "all_gather": lambda n: n - 1,
    "reduce_scatter": lambda n: n - 1,
    "broadcast": lambda n: math.ceil(math.log2(n)),
    "all_to_all": lambda n: n - 1,
}

COLLECTIVES = tuple(_FACTORS)
"""Names, as in torch.distributed."""


def busbw_factor(collective: str, ranks: int) -> float:
    """Return busbw / algbw: what share of the array each rank's link must carry at least."""
    return _FACTORS[collective](ranks)


def steps(collective: str, ranks: int) -> int:
    """Return how many messages follow each other: those of a ring, or of a tree for broadcast.

    Source: Thakur, Rabenseifner and Gropp 2005, Optimization of Collective Communication
    Operations in MPICH, doi 10.1177/1094342005051521.
    """
    return _STEPS[collective](ranks)
