import json

import pytest
import torch
from rank_processes import run_ranks

from mpijob_bench.comm.bandwidth import COLLECTIVES
from mpijob_bench.comm.options import Sweep, count_iterations
from mpijob_bench.ranks.backends import TorchBackend, UnsupportedError
from mpijob_bench.ranks.collectives import _sweep
from mpijob_bench.ranks.measurement import Measurement
from mpijob_bench.ranks.memory import available_bytes
from mpijob_bench.ranks.patterns import Pattern

CPU = torch.device("cpu")
QUICK = ("--max-bytes", 4096, "--warmup", 1, "--min-iterations", 2, "--max-iterations", 3)
LIBRARIES = pytest.mark.parametrize(
    ("backend", "ranks", "sizes"),
    [("gloo", 3, {1020, 4092}), ("mpi", 2, {1024, 4096})],
    ids=["gloo", "openmpi"],  # pytest-mpi takes a plain "mpi" for its mark
)


def sweep(backend, ranks, *options):
    """Return all ranks' lines of collectives."""
    mpi = backend == "mpi"
    lines = run_ranks("collectives", "--backend", backend, *QUICK, *options, ranks=ranks, mpi=mpi)
    return [line for rank in lines for line in rank if line["bench"] == "collective"]


@LIBRARIES
def test_all_collectives_are_right(backend, ranks, sizes):
    """Sizes that three do not divide are rounded down; every rank tells of each."""
    found = sweep(backend, ranks)
    assert {line["collective"] for line in found} == {*COLLECTIVES}
    assert len(found) == ranks * 5 * 2
    assert {line["bytes"] for line in found} == sizes
    assert all(line["wrong_elements"] == 0 for line in found)
    assert all(2 <= len(line["seconds"]) <= 3 and min(line["seconds"]) > 0 for line in found)
    assert all(0 < line["in_a_row_seconds"] < 10 * max(line["seconds"]) for line in found)


def test_what_is_measured_already_is_left_out():
    """A collective at a size; the others are measured."""
    found = sweep("gloo", 2, "--done", "all_reduce", 1024, "--done", "broadcast", 4096)
    pairs = {(line["collective"], line["bytes"]) for line in found}
    left = {(name, size) for name in COLLECTIVES for size in (1024, 4096)}
    assert pairs == left - {("all_reduce", 1024), ("broadcast", 4096)}


@LIBRARIES
def test_one_spoilt_element_is_counted(backend, ranks, sizes):
    """In each collective and size, exactly one: the check can fail."""
    found = sweep(backend, ranks, "--corrupt")
    assert sum(line["wrong_elements"] for line in found) == 5 * len(sizes)


@pytest.mark.parametrize("position", [0, 250, 251, 1_028_095, 1_028_096, 1_999_999])
def test_a_wrong_element_is_found_wherever_it_is(position):
    """At the ends of periods and chunks."""
    pattern = Pattern(4, CPU)
    array = torch.empty(2_000_000)
    pattern.fill(array, rank=3)
    assert pattern.count_wrong(array, rank=3) == 0
    array[position] += 1
    assert pattern.count_wrong(array, rank=3) == 1
    array[position] = float("nan")
    assert pattern.count_wrong(array, rank=3) == 1


def test_another_ranks_or_a_displaced_array_is_wrong():
    """Whole, not in parts."""
    pattern = Pattern(4, CPU)
    array = torch.empty(1024)
    pattern.fill(array, rank=1)
    assert pattern.count_wrong(array, rank=2) == 1024
    assert pattern.count_wrong(array, rank=1, first=256) == 1024
    assert pattern.count_wrong(array, rank=1, first=251) == 0  # the period: no size divides it


def test_the_sum_over_many_ranks_is_exact():
    """Float32 holds it for 2,000 ranks, added one after the other."""
    pattern = Pattern(2000, CPU)
    total, part = torch.zeros(600), torch.empty(600)
    for rank in range(2000):
        pattern.fill(part, rank=rank)
        total += part
    assert pattern.count_wrong(total) == 0


class FakeBackend:
    """One rank of four that lacks reduce_scatter; its collectives do nothing."""

    rank, ranks, local_ranks, device = 0, 4, 4, CPU

    def run(self, collective, send, receive):
        """Do nothing, or refuse."""
        if collective == "reduce_scatter":
            raise UnsupportedError("no reduce_scatter here")

    def barrier(self):
        """Nobody to wait for."""

    def gather(self, value):
        """Pretend that all have the same."""
        return [value] * 4

    def close(self):
        """Nothing is open."""


@pytest.mark.parametrize("collective", set(COLLECTIVES) - {"reduce_scatter", "broadcast"})
def test_a_collective_that_does_nothing_is_wrong(collective):
    """Old contents of an array cannot pass for a result."""
    measurement = Measurement(FakeBackend(), Pattern(4, CPU), collective, 4096)
    for _ in range(2):
        assert measurement.iterate()[1] >= 768


def test_in_a_row_ranks_meet_once():
    """Five are timed after one that is not: 1 s each, whatever that one took."""
    calls = []
    backend = FakeBackend()
    backend.barrier = lambda: calls.append("barrier")
    backend.run = lambda *_: calls.append("run")
    measurement = Measurement(backend, Pattern(4, CPU), "all_reduce", 4096)
    assert measurement.repeat(5, clock=lambda: calls.count("run")) == 1
    assert calls == ["barrier", *["run"] * 6]


def test_a_collective_that_a_backend_lacks_is_told(capsys):
    """As a fact, once, and the sweep goes on."""
    backend = FakeBackend()
    _sweep(backend, Pattern(4, CPU), Sweep(), "reduce_scatter", [1024, 4096])
    facts = {"collective": "reduce_scatter", "reason": "no reduce_scatter here"}
    assert json.loads(capsys.readouterr().out) == {"bench": "unsupported", **facts}


@pytest.mark.parametrize(
    ("message", "kind"),
    [("Backend gloo does not support it", UnsupportedError), ("Connection reset", RuntimeError)],
)
def test_only_a_missing_collective_counts_as_missing(message, kind):
    """A broken connection is a failure of the job."""

    def fail(send, receive):
        raise RuntimeError(message)

    backend = object.__new__(TorchBackend)
    backend._calls, backend.device = {"all_reduce": fail}, CPU
    with pytest.raises(kind):
        backend.run("all_reduce", torch.empty(1), torch.empty(1))


@pytest.mark.parametrize(("seconds", "count"), [(1e-6, 100), (0.05, 20), (3.0, 5)])
def test_iterations_fill_the_budget_between_the_bounds(seconds, count):
    """5 to 100, for a second."""
    assert count_iterations(Sweep(), seconds) == count


def test_memory_is_shared_by_the_ranks_of_a_machine():
    """A quarter for each of four."""
    alone, of_four = (
        available_bytes(CPU, sharing_pod=share, sharing_machine=share) for share in (1, 4)
    )
    assert of_four == pytest.approx(alone / 4, rel=0.2)
