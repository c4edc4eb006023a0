import itertools
import json

import pytest

from mpijob_bench.launches import Line
from mpijob_bench.pairing import rounds_of_pairs
from mpijob_bench.preflight.document import (
    acceptable,
    make_document,
    read_preflight,
    write_preflight,
)
from mpijob_bench.preflight.findings import judge_hosts
from mpijob_bench.preflight.observed import Observed
from mpijob_bench.preflight.table import findings_table

HOSTS = 4
NETWORK = {"name": "net1", "interfaces": {f"w-{index}": "net1" for index in range(HOSTS)}}


def machine(index, **changes):
    """Return a host's facts: all is well."""
    interface = {"name": "net1", "mtu": 9000, "speed": 100_000, "addresses": [f"10.0.0.{index}/24"]}
    facts = {
        "index": index,
        "local_ranks": 1,
        "boot_id": f"boot-{index}",
        "interfaces": [interface],
        "rdma": ["mlx5_0"],
        "memlock_bytes": -1,
        "shm_bytes": 8 << 30,
        "gpu_driver": True,
    }
    return facts | changes


def observe(*, machines=None, slow=None, pair=None, network=NETWORK):
    """Return what four hosts told.

    Args:
        machines: index -> changes of its facts.
        slow: index -> its seconds for the computation, of 1.0.
        pair: (lower, higher) -> its seconds for an exchange, of 1.0.
        network: as in the launch's report.
    """
    observed = Observed(network=network)
    for index in reversed(range(HOSTS)):
        facts = machine(index, **(machines or {}).get(index, {}))
        observed.take(line(index, "machine", **facts))
        seconds = (slow or {}).get(index, 1.0)
        observed.take(line(index, "speed", flop=1e9, seconds=[9.0, seconds, 0.1 * seconds]))
        if index:
            observed.take(line(index, "clock", offset_seconds=-index, round_trip_seconds=0.001))
    for low, high in itertools.combinations(range(HOSTS), 2):
        seconds = (pair or {}).get((low, high), 1.0)
        facts = {"other": high, "bytes": 1000, "seconds": [seconds], "round": 0, "of_rounds": 3}
        observed.take(line(low, "pair", **facts))
    return observed


def line(rank, what, /, **facts):
    """Return a rank's line."""
    return Line(rank, f"w-{rank}", {"bench": what, **facts})


def bad(observed, **options):
    """Return the findings that are not ok, by the beginning of their names."""
    found = [finding for finding in judge_hosts(observed, **options) if not finding.ok]
    return {finding.name.partition(":")[0]: finding for finding in found}


def test_good_hosts_have_no_bad_finding():
    """And everything that can be looked at is."""
    observed = observe()
    assert bad(observed) == {}
    names = [finding.name.partition(":")[0] for finding in judge_hosts(observed)]
    assert names == [
        "data network",
        "MTU",
        "transport",
        "clock offset",
        "/dev/shm",
        "memlock",
        "physical nodes",
        "slowest node",
        "slowest pair",
    ]


LIMITED = {2: {"memlock_bytes": 65536}}
SMALL = {1: {"shm_bytes": 64 << 20}}
NO_GPUS = {index: {"gpu_driver": False, "rdma": []} for index in range(HOSTS)}


def without_gpus(changes):
    """Return changes for hosts without GPUs and RDMA."""
    return {index: NO_GPUS[index] | changes.get(index, {}) for index in range(HOSTS)}


@pytest.mark.parametrize(
    ("changes", "name", "required", "word"),
    [
        ({"network": None}, "data network", True, "None"),
        ({"machines": {3: {"interfaces": [{"name": "net1", "mtu": 1500}]}}}, "MTU", True, "1500"),
        ({"machines": SMALL}, "/dev/shm", True, "64 MiB on w-1"),
        ({"machines": without_gpus(SMALL)}, "/dev/shm", False, "64 MiB on w-1"),
        ({"machines": LIMITED}, "memlock", True, "limited on w-2"),
        ({"machines": without_gpus(LIMITED)}, "memlock", False, "limited on w-2"),
        ({"machines": {3: {"boot_id": "boot-0"}}}, "physical nodes", False, "3 for 4 hosts"),
        ({"machines": {3: {"boot_id": ""}}}, "physical nodes", False, "unknown for 4 hosts"),
        ({"slow": {2: 1.1}}, "slowest node", True, "0.909"),
        ({"pair": {(1, 3): 1.5}}, "slowest pair", True, "0.666"),
    ],
)
def test_each_defect_is_found_by_itself(changes, name, required, word):
    """With its value and a remedy; some are fatal only where there is hardware that needs them."""
    found = bad(observe(**changes))
    assert found.keys() == {name}
    finding = found[name]
    assert finding.required == required
    assert word in str(finding.value)
    assert finding.remedy


def test_the_slowest_are_named():
    """A host and a pair of hosts."""
    found = bad(observe(slow={2: 1.1}, pair={(1, 3): 1.5}))
    assert found["slowest node"].name == "slowest node: w-2"
    assert found["slowest pair"].name.startswith("slowest pair: w-1 - w-3")


@pytest.mark.parametrize(("seconds", "ok"), [(1.05, True), (1.06, False)])
def test_the_limit_of_the_slowest_node_is_095(seconds, ok):
    """1 / 1.05 = 0.952."""
    assert ("slowest node" not in bad(observe(slow={0: seconds}))) == ok


def test_hosts_of_one_machine_are_not_blamed_for_being_slow():
    """They take turns on its processors."""
    shared = {index: {"boot_id": "same"} for index in range(HOSTS)}
    assert not bad(observe(machines=shared, slow={2: 2.0}))["slowest node"].required


@pytest.mark.parametrize(
    ("backend", "nccl", "declared", "ok"),
    [
        ("gloo", None, "tcp", True),
        ("gloo", None, "ib", False),
        ("gloo", None, None, True),
        ("nccl", {"net": "IB"}, "ib", True),
        ("nccl", {"net": "Socket"}, "ib", False),
        ("nccl", {"net": "Socket"}, "tcp", True),
        ("nccl", None, "ib", False),
    ],
)
def test_another_transport_than_declared_is_found(backend, nccl, declared, ok):
    """NCCL falls back to TCP without a word; a log that says nothing is no proof."""
    observed = observe()
    observed.nccl = nccl
    assert ("transport" not in bad(observed, backend=backend, transport=declared)) == ok


def test_ranks_of_one_host_count_together():
    """Two ranks on each of two hosts: speeds add up, a pair is as slow as its slower ranks."""
    observed = Observed()
    for host in range(2):
        observed.take(line(host, "machine", **machine(host)))
        for seconds in (1.0, 2.0):
            observed.take(line(host, "speed", flop=8.0, seconds=[seconds]))
    for seconds in (1.0, 4.0):
        observed.take(line(0, "pair", other=1, bytes=1000, seconds=[seconds]))
    assert observed.speeds == {"w-0": 12.0, "w-1": 12.0}
    assert observed.pairs == {("w-0", "w-1"): 1000.0}


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7, 8, 33])
def test_each_pair_meets_once_and_nobody_is_in_two(count):
    """In as few rounds as can be."""
    rounds = rounds_of_pairs(count)
    everyone = [*itertools.chain.from_iterable(rounds)]
    assert sorted(everyone) == [*itertools.combinations(range(count), 2)]
    for pairs in rounds:
        busy = [*itertools.chain.from_iterable(pairs)]
        assert len(busy) == len(set(busy))
    assert len(rounds) == (0 if count < 2 else count - 1 + count % 2)


@pytest.mark.parametrize(
    ("changes", "good"), [({}, True), ({"network": None}, False), ({"machines": None}, True)]
)
def test_the_document_is_valid_and_says_whether_to_go_on(changes, good, tmp_path):
    """Read as it was written; a warning does not count."""
    observed = observe(**changes)
    document = make_document(observed, judge_hosts(observed), backend="gloo", fidelity="emulated")
    path = str(tmp_path / "preflight.json")
    write_preflight(path, document)
    assert read_preflight(path) == json.loads(json.dumps(document))
    assert acceptable(document) == good
    assert findings_table(document).row_count == len(document["findings"])
