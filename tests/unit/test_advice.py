import pytest

from mpijob_runtime.advice import advise
from mpijob_runtime.clocks import ClockOffset
from mpijob_runtime.facts import HostFacts, RdmaFacts
from mpijob_runtime.rank_environ import Findings

CLOSED = RdmaFacts("mlx5_0", "infiniband", "ACTIVE", "r", usable=False)
OPEN = RdmaFacts("mlx5_1", "infiniband", "ACTIVE", "r", usable=True)
KIB, MIB = 1 << 10, 1 << 20


@pytest.mark.parametrize(
    ("facts", "ranks", "word"),
    [
        (HostFacts(rdma=(CLOSED,)), 1, "mlx5_0 cannot be opened"),
        (HostFacts(rdma=(OPEN,), memlock_bytes=64 * KIB), 1, "64 KiB of memory may be locked"),
        (HostFacts(shm_bytes=64 * MIB), 2, "/dev/shm has 64 MiB for 2 ranks"),
        (
            HostFacts(shm_bytes=1024 * MIB, shm_free_bytes=9 * MIB),
            2,
            "/dev/shm has 9 MiB free of 1024 MiB for 2 ranks",
        ),
    ],
)
def test_what_will_slow_or_break_ranks_is_said_with_a_next_step(facts, ranks, word):
    """Where, what was found, what to do."""
    (sentence,) = advise(Findings({"w0.job": facts}), {"w0.job": range(ranks)})
    assert sentence.startswith("w0: ")
    assert word in sentence
    assert "\n  next: " in sentence


@pytest.mark.parametrize(
    ("facts", "ranks"),
    [
        (HostFacts(), 1),
        (HostFacts(rdma=(CLOSED, OPEN), memlock_bytes=None), 8),
        (HostFacts(rdma=(OPEN,), memlock_bytes=64 * MIB), 1),
        (HostFacts(memlock_bytes=64 * KIB), 1),
        (HostFacts(shm_bytes=64 * MIB), 1),
        (HostFacts(shm_bytes=0), 8),
        (HostFacts(shm_bytes=1024 * MIB, shm_free_bytes=65 * MIB), 8),
        (HostFacts(shm_bytes=1024 * MIB, shm_free_bytes=9 * MIB), 1),
        (HostFacts(shm_bytes=64 * MIB + 1), 8),
    ],
)
def test_what_is_no_harm_is_not_said(facts, ranks):
    """Locked memory matters to RDMA alone, shared memory to several ranks."""
    assert advise(Findings({"w0": facts}), {"w0": range(ranks)}) == []


def test_hosts_with_the_same_trouble_share_a_sentence():
    """A thousand hosts are one line."""
    hosts = {f"w{n}.job": HostFacts(rdma=(CLOSED,)) for n in range(1000)}
    (sentence,) = advise(Findings(hosts), {})
    assert sentence.startswith("all 1000 hosts: ")
    hosts["good.job"] = HostFacts()
    (sentence,) = advise(Findings(hosts), {})
    assert sentence.startswith("w0, w1, w2, w3 … and 996 more: ")


def test_only_hosts_with_ranks_are_compared():
    """A launcher without ranks may have another umask and clock."""
    hosts = {"w0.job": HostFacts(umask=0o22), "w1.job": HostFacts(umask=0o77)}
    clocks = {"w0.job": ClockOffset(0, 0.1), "w1.job": ClockOffset(-9, -8.9)}
    found = Findings(hosts, clocks=clocks)
    assert advise(found, {"w0.job": [0, 1], "w1.job": []}) == []
    table, sentence = advise(found, {"w0.job": [0], "w1.job": [1]})
    assert table.startswith("hosts differ in what they should have alike:\n  umask ")
    assert sentence.startswith("clocks differ from w1's: w0 by +9.0 s (± 0.1 s)\n  next: ")
