"""Guards: what holds, what does not, and what is not known does not hold."""

import pytest

from mpijob_bench import guards
from mpijob_bench.assemble import assemble
from mpijob_bench.plan import Plan, Workload
from mpijob_bench.transports import observed_transport


def launch(kind, rates, pair=0, **modes):
    """Return a launch with rates of nodes in its modes."""
    told = {name: {"samples_per_second": each} for name, each in modes.items()}
    told["full"] = {"samples_per_second": rates}
    return {"kind": kind, "status": "ok", "pair": pair, "modes": told}


def timed_alone(seconds):
    """Return a launch of nodes alone whose steps take so long; an overloaded machine's too long."""
    found = launch("alone", [10, 10])
    found["modes"]["full"]["mean_seconds"] = [seconds, seconds]
    return found


@pytest.mark.parametrize(
    ("guard", "ok"),
    [
        (guards.complete(3, 3), True),
        (guards.complete(2, 3), False),
        (guards.slow_node([launch("alone", [100, 100, 96])]), True),
        (guards.slow_node([launch("alone", [100, 100, 90])]), False),
        (guards.slow_node([]), False),
        (guards.null_control(
            [launch("alone", [100, 100]), launch("together", [80], local=[99.5, 99.5])]), True),
        (guards.null_control(
            [launch("alone", [100, 100]), launch("together", [80], local=[98, 98])]), False),
        (guards.null_control(
            [launch("alone", [100, 100]), launch("together", [80], local=[102, 102])]), False),
        (guards.null_control([timed_alone(1.0), launch("together", [80], local=[10, 10])], 1.0),
         True),
        (guards.null_control([timed_alone(1.03), launch("together", [80], local=[10, 10])], 1.0),
         False),
        (guards.distinct_nodes([launch("together", [80]) | {"boot_ids": ["a", "b"]}]), True),
        (guards.distinct_nodes([launch("together", [80]) | {"boot_ids": ["a", "a"]}]), False),
        (guards.null_control([launch("alone", [100, 100])]), False),
        (guards.lateness([{"late_p99": 0.01}]), True),
        (guards.lateness([{"late_p99": 0.03}, {"late_p99": 0.01}, {"late_p99": 0.01}]), False),
        (guards.lateness([{"late_p99": None}]), False),
        (guards.link_rate([95.6e6], 100e6), True),
        (guards.link_rate([95.6e6, 80e6], 100e6), False),
        (guards.link_rate([99.9e6], 100e6), False),
        (guards.link_rate([], 100e6), False),
        (guards.host_load([{"cpu_waited": 0.05, "cpu_idle": 0.5}])[1], True),
        (guards.host_load([{"cpu_waited": 0.15, "cpu_idle": 0.5}])[1], False),
        (guards.host_load([{"cpu_waited": 0.05, "cpu_idle": 0.1}])[2], False),
        (guards.host_load([{"cpu_stolen": 0.01}])[0], True),
        (guards.host_load([{"cpu_stolen": 0.05}, {"cpu_stolen": 0.0}])[0], False),
        (guards.scale_invariance(0.80, 0.81), True),
        (guards.scale_invariance(0.80, 0.83), False),
        (guards.scale_invariance(0.80, None), False),
        (guards.right_sums(0), True),
        (guards.right_sums(1), False),
        (guards.prediction(0.80, 0.82), True),
        (guards.prediction(0.80, 0.84), False),
        (guards.prediction(0.80, None), False),
    ],
)  # fmt: skip
def test_a_guard_holds_or_not(guard, ok):
    """Name, value and limit are there in any case."""
    assert guard["ok"] is ok
    assert {"name", "value", "limit"} <= guard.keys()


def test_wrong_elements_of_the_sweep_count_as_well():
    """A network that sums wrong does so in training, too."""
    plan = Plan(Workload("model", "resnet50"))
    result = assemble(plan, "hash", [], {"results": [{"wrong_elements": 3}] * 2})
    assert result["wrong_elements"] == 6


def test_programs_that_tell_no_machine_have_no_guard_of_distinct_ones():
    """What cannot be known is not held against them."""
    assert guards.distinct_nodes([launch("together", [80])]) is None
    assert guards.distinct_nodes([launch("together", [80]) | {"boot_ids": [None, "a"]}]) is None


def block(sent, host="a"):
    """Return a block's end with bytes that were sent."""
    count = {"sent_bytes": 0}, {"sent_bytes": sent}
    before, after = count
    return {"steps": 10, "host": host, "interface": "eth0", "before": before, "after": after}


@pytest.mark.parametrize(
    ("blocks", "compressed", "report", "found"),
    [
        ([block(10_500, "a"), block(10_500, "b")], False, {}, "tcp"),
        ([block(5_300, "a"), block(5_300, "b")], False, {}, None),
        ([block(5_300, "a"), block(5_300, "b")], True, {}, "tcp"),
        ([{**block(0), "before": {"sent_bytes": None}}], False, {}, None),
        ([], False, {}, None),
        ([], False, {"nccl": {"words": "on 2 hosts", "net": "Socket"}}, "tcp"),
        ([], False, {"nccl": {"words": "", "net": "IBext_v8 and Socket"}}, "ib+tcp"),
        ([], False, {"nccl": {"words": "", "net": "AWS Libfabric"}}, "efa"),
        ([], False, {"nccl": {"words": "", "net": "Libfabric"}}, "efa"),
        ([], False, {"nccl": {"words": "", "net": "gIB"}}, "gib"),
        ([], False, {"nccl": {"words": "", "net": None, "mnnvl": True}}, "nvlink"),
        ([], False, {"nccl": {"words": "nothing known", "net": None}}, None),
        ([block(10_500, "a"), block(10_500, "b")], False, {"nccl": {"net": None}}, "tcp"),
    ],
)
def test_bytes_or_nccls_log_tell_the_transport(blocks, compressed, report, found):
    """Two ranks, 1,000 bytes of gradients, 10 steps: a ring sends 10,000 bytes from each node.

    An NCCL that is there and unused, as in torch's CUDA build, does not hide that.
    """
    told, proof = observed_transport(
        blocks, ranks=2, nodes=2, gradient_bytes=1000, compressed=compressed, report=report
    )
    assert told == found
    assert proof
