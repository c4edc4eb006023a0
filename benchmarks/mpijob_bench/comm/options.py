"""What a sweep over collectives does, and the argv of the program that does it.

Layer: pure; imports bandwidth.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from mpijob_bench.comm.bandwidth import COLLECTIVES

Backend = Literal["gloo", "nccl", "mpi"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)

DEFAULT_MAX_BYTES: dict[Backend, int] = {"gloo": 256 << 20, "mpi": 256 << 20, "nccl": 4 << 30}
"""Between processors the largest buckets are far below it; NVLink reaches its rate above 1 GiB."""

ELEMENT_BYTES = 4
"""float32: what gradients are."""

ARRAYS = 4
"""What a rank needs, in total arrays: what it sends, what it gets, and the library's own copies."""

_MOST_IN_A_ROW = 10


@dataclass(frozen=True, slots=True)
class Sweep:
    """One launch that measures collectives over sizes.

    Attributes:
        backend: torch's Gloo or NCCL, or MPI through mpi4py.
        collectives: in their order.
        min_bytes: the smallest total array.
        max_bytes: the largest; ranks lower it to what their memory allows, and say so.
        factor: from one size to the next.
        warmup: iterations before the timed ones, of each collective and size.
        min_iterations: timed, whatever they take.
        max_iterations: timed, however short they are; bounds what a rank tells.
        budget_seconds: for the timed iterations of a size, between those bounds.
        corrupt: for tests: rank 0 spoils one element of one iteration of each size.
        done: collectives with sizes that are measured already, and left out.
    """

    backend: Backend = "gloo"
    collectives: tuple[str, ...] = COLLECTIVES
    min_bytes: int = 1 << 10
    max_bytes: int = 256 << 20
    factor: int = 4
    warmup: int = 2
    min_iterations: int = 5
    max_iterations: int = 100
    budget_seconds: float = 1.0
    corrupt: bool = False
    done: tuple[tuple[str, int], ...] = ()


def sweep_sizes(sweep: Sweep, *, max_bytes: int, ranks: int) -> list[int]:
    """Return the sizes in bytes, each of which is a whole number of floats for each rank.

    The last one is the largest that there may be.

    Args:
        sweep: what was asked for.
        max_bytes: what memory leaves of ``sweep.max_bytes``.
        ranks: among which arrays are divided.
    """
    share = ranks * ELEMENT_BYTES
    sizes = []
    size = sweep.min_bytes
    while size < max_bytes:
        sizes.append(size)
        size *= sweep.factor
    if sweep.min_bytes <= max_bytes:
        sizes.append(max_bytes)
    return sorted({max(share, size // share * share) for size in sizes})


def count_iterations(sweep: Sweep, seconds: float) -> int:
    """Return how many iterations of so many seconds the budget allows, between the bounds."""
    affordable = int(sweep.budget_seconds / max(seconds, 1e-9))
    return max(sweep.min_iterations, min(sweep.max_iterations, affordable))


def count_in_a_row(iterations: int) -> int:
    """Return how many are timed in a row, where so many are timed one by one."""
    return min(iterations, _MOST_IN_A_ROW)


def comm_program(sweep: Sweep) -> tuple[str, ...]:
    """Return the argv of the ranks' program for a sweep."""
    options = {
        "--backend": sweep.backend,
        "--collectives": ",".join(sweep.collectives),
        "--min-bytes": sweep.min_bytes,
        "--max-bytes": sweep.max_bytes,
        "--factor": sweep.factor,
        "--warmup": sweep.warmup,
        "--min-iterations": sweep.min_iterations,
        "--max-iterations": sweep.max_iterations,
        "--budget-seconds": sweep.budget_seconds,
    }
    argv = [str(part) for item in options.items() for part in item]
    corrupt = ("--corrupt",) if sweep.corrupt else ()
    done = [part for name, size in sweep.done for part in ("--done", name, str(size))]
    return ("python", "-m", "mpijob_bench.ranks.collectives", *argv, *corrupt, *done)
