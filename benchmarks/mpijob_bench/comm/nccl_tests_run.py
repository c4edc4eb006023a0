"""One run of one of nccl-tests' programs, whichever way it was written down.

Layer: pure; imports bandwidth, errors.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mpijob_bench.comm.bandwidth import COLLECTIVES
from mpijob_bench.errors import ResultError
from mpijob_runtime.errors import Problem

_PROGRAMS = {
    "all_reduce": "all_reduce",
    "all_gather": "all_gather",
    "reduce_scatter": "reduce_scatter",
    "broadcast": "broadcast",
    "alltoall": "all_to_all",
}
LARGEST_BYTES = 1 << 50
REMEDY = "give what one of nccl-tests' programs printed, or wrote with -J FILE"


@dataclass(frozen=True, slots=True)
class NcclRow:
    """One size.

    Attributes:
        bytes: of the total array.
        type: of its elements.
        placement: out_of_place, or in_place where that is all there is.
        seconds: the mean iteration.
        algbw: as it says, in GB/s; None if it says none.
        busbw: likewise.
        wrong_elements: None if it was not checked.
        iterations: how many; None if it does not say.
        iteration_seconds: of each iteration, the slowest process (-I).
        rank_p50_seconds: of each process, as median (-I).
    """

    bytes: int
    type: str
    placement: str
    seconds: float
    algbw: float | None
    busbw: float | None
    wrong_elements: int | None
    iterations: int | None = None
    iteration_seconds: Sequence[float] = ()
    rank_p50_seconds: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class NcclRun:
    """A run.

    Attributes:
        collective: by our name.
        ranks: how many took part.
        hosts: names, by their first rank.
        device: what GPU, or None.
        form: which format it was read from.
        rows: those of sizes above 0.
    """

    collective: str
    ranks: int
    hosts: Sequence[str]
    device: str | None
    form: str
    rows: Sequence[NcclRow]


def collective_of(program: str, *, path: str, where: str) -> str:
    """Return the collective of a program such as ``./build/all_reduce_perf_mpi``.

    Raises:
        ResultError: if it is none that we know.
    """
    name = program.rpartition("/")[2].partition("_perf")[0]
    if name not in _PROGRAMS:
        wanted = "a test of " + ", ".join(COLLECTIVES)
        raise wrong(path, [Problem(0, repr(program)[:60], wanted, where)])
    return _PROGRAMS[name]


def check_rows(rows: Sequence[NcclRow], path: str) -> None:
    """Refuse no rows, and rows that cannot be compared.

    Raises:
        ResultError: if so.
    """
    if not rows:
        raise wrong(path, [Problem(0, "no row above 0 bytes", "results", "results")])
    types = dict.fromkeys(row.type for row in rows)
    if len(types) > 1:
        found = " and ".join(types)
        raise wrong(path, [Problem(0, found, "one type: run it with -d float -o sum", "type")])


def wrong(path: str, problems: Sequence[Problem]) -> ResultError:
    """Return the error for problems in a file."""
    return ResultError(path, problems, remedy=REMEDY)
