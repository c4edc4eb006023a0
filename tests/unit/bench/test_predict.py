import dataclasses
import math

import pytest

from mpijob_bench.allreduce import Allreduce, allreduce_of
from mpijob_bench.buckets import MIB, Cycle, ddp_buckets, horovod_transfers
from mpijob_bench.predict import Setup, expected_largest, predict
from mpijob_bench.profiles import Gradient, Profile
from mpijob_bench.what_if import outcomes, parse_change, usual_changes
from mpijob_runtime.errors import UsageError


def gradients(*sizes, every=1.0):
    """Return gradients of so many bytes, ready one after the other."""
    ready = enumerate(sizes, 1)
    return tuple(Gradient(f"g{k}", size // 4, size, k * every) for k, size in ready)


def profile(*sizes, every=1.0, forward=2.0, optimizer=0.5):
    """Return a profile whose backward pass ends with the last gradient."""
    some = gradients(*sizes, every=every)
    return Profile(
        "net", {}, "modelled", "none", "fp32", 1, forward, len(some) * every, "SGD", optimizer,
        some, {},
    )  # fmt: skip


LINK = Allreduce(ranks=2, alpha_seconds=0.0, bytes_per_second=float(MIB))
"""A MiB takes a second."""


def setup(*sizes, **changes):
    """Return a setup with buckets of a MiB."""
    base = Setup(profile(*sizes), LINK, 2, bucket_mb=1)
    return dataclasses.replace(base, **changes)


def test_buckets_are_torchs():
    """As dist._compute_bucket_assignment_by_size of torch 2.13 has said for these nine tensors."""
    elements = (10, 100, 5, 300_000, 20, 262_144, 1, 7_000_000, 3)
    some = gradients(*(4 * count for count in elements))
    found = ddp_buckets(some)
    assert [one.gradients for one in found] == [4, 4, 1]
    assert [one.ready_seconds for one in found] == [4, 8, 9]
    assert sum(one.bytes for one in found) == 4 * sum(elements)


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [
        ((MIB, MIB), [1, 1]),  # the cap itself closes
        ((MIB - 4, 4, 4), [2, 1]),
        ((4, 9 * MIB, 4), [2, 1]),  # a large one joins those that wait
        ((4,), [1]),
    ],
)
def test_where_a_bucket_ends(sizes, wanted):
    """A bucket is closed by the gradient that brings it to the cap."""
    assert [one.gradients for one in ddp_buckets(gradients(*sizes), MIB)] == wanted


def test_exposed_communication_by_hand():
    """Ready at 1, 2, 3; costs 1, 3, 1: sent 1-2, 2-5, 5-6; the pass ends at 3, so 3 s stay."""
    found = predict(setup(MIB, 3 * MIB, MIB))
    spans = [(one.start_seconds, one.end_seconds) for one in found.timeline]
    assert spans == [(1, 2), (2, 5), (5, 6)]
    assert found.exposed_seconds == 3
    assert found.alone_seconds == 2 + 3 + 0.5
    assert found.efficiency == pytest.approx(5.5 / 8.5)


def test_the_channel_is_the_maximum_over_buckets():
    """The formula of the reference, max over k of r_k + sum of c_j for j >= k."""
    some = setup(3 * MIB, MIB // 2, MIB // 2, 2 * MIB, MIB)
    found = predict(some)
    buckets = [one.bucket for one in found.timeline]
    costs = [some.cost_seconds(one.bytes) for one in buckets]
    last = max(one.ready_seconds + sum(costs[k:]) for k, one in enumerate(buckets))
    assert found.timeline[-1].end_seconds == pytest.approx(last)
    assert found.exposed_seconds == pytest.approx(last - some.profile.backward_seconds)


@pytest.mark.parametrize(
    ("changes", "exposed", "alone"),
    [
        ({"compression": 2.0}, 1.0, 5.5),  # 1-1.5, 2-3.5, 3.5-4
        ({"batch_scale": 2.0}, 2.0, 10.5),  # 2-3, 4-7, 7-8 against 6; the optimizer once
        ({"accumulation": 4}, 3.0, 20.5),
        ({"byte_scale": 4.0}, 0.25, 5.5),
        ({"ranks": 1}, 0.0, 5.5),
    ],
)
def test_what_changes_the_prediction(changes, exposed, alone):
    """By hand, from ready times 1, 2, 3 and costs 1, 3, 1."""
    found = predict(setup(MIB, 3 * MIB, MIB, **changes))
    assert found.alone_seconds == alone
    assert found.exposed_seconds == pytest.approx(exposed)
    assert found.efficiency == pytest.approx(alone / (alone + exposed))


def test_scaling_bytes_and_times_of_an_emulation_keeps_the_efficiency():
    """Bytes / 16 on a link / 64 with times x 4 is the same step, four times as long."""
    slow = dataclasses.replace(LINK, bytes_per_second=LINK.bytes_per_second / 64)
    emulated = setup(MIB, 3 * MIB, MIB, byte_scale=16.0, time_scale=4.0, allreduce=slow)
    assert predict(emulated).efficiency == pytest.approx(
        predict(setup(MIB, 3 * MIB, MIB)).efficiency
    )


@pytest.mark.parametrize(("count", "value"), [(1, 0), (2, 1 / math.sqrt(math.pi)), (8, 1.4236)])
def test_the_largest_of_some_normals(count, value):
    """1/sqrt(pi) for two is exact; e_8 from tables of order statistics."""
    assert expected_largest(count) == pytest.approx(value, abs=1e-4)


def test_stragglers_cost_what_the_reference_says():
    """A CV of 5 % of the step costs 6.7 points on 8 nodes."""
    step = setup(MIB).profile.step_seconds
    jitter = setup(MIB, ranks=8, jitter_seconds=0.05 * step, compression=1e9)
    assert 1 - predict(jitter).efficiency == pytest.approx(0.067, abs=0.003)


def test_an_allreduce_is_measured_inside_and_fitted_outside():
    """Linear between points, and the line's slope beyond the last."""
    link = Allreduce(2, 0.5, 10.0, (10, 20), (4.0, 5.0))
    assert link.cost_seconds(15) == 4.5
    assert link.cost_seconds(30) == 6.0
    assert link.cost_seconds(15, ranks=1) == 0
    line = Allreduce(2, 0.5, 10.0)
    assert line.cost_seconds(10, ranks=4) == 2 * 3 * 0.5 + 2 * 3 / 4


@pytest.mark.parametrize(
    ("alpha", "first", "seconds", "wanted"),
    [
        (0.5, 10, 4.0, 3.0),  # a second on the wire is saved
        (0.5, 1000, 100.5, 1.0),  # latency has hidden behind the wire: the line's
        (3.0, 10, 4.0, 4.0),  # never more than the smallest
    ],
)
def test_below_the_smallest_size_latency_is_left(alpha, first, seconds, wanted):
    """Of an allreduce of nothing: what was measured less the wire, the line's at least."""
    link = Allreduce(2, alpha, 10.0, (first, 2 * first), (seconds, 2 * seconds))
    assert link.cost_seconds(0) == pytest.approx(wanted)


def test_more_bandwidth_leaves_latency():
    """Twice as fast: half of the transfer, all of the rest."""
    link = Allreduce(2, 0.5, 10.0, speedup=2.0)
    assert link.cost_seconds(20) == 1.0 + 1.0


def test_horovod_waits_for_its_cycle_and_for_itself():
    """Cycles at 0.5, 1.5, …: ready at 1 is sent at 1.5; 2 and 3 while it sends, so fused after."""
    some = gradients(3 * MIB, MIB, MIB)
    found = horovod_transfers(some, LINK.cost_seconds, threshold_bytes=9 * MIB, cycle=Cycle(1.0))
    spans = [(one.bucket.gradients, one.start_seconds, one.end_seconds) for one in found]
    assert spans == [(1, 1.5, 4.5), (2, 4.5, 6.5)]


@pytest.mark.parametrize(
    ("negotiation", "wanted"),
    [
        (0.25, [(1, 1.75, 4.75), (2, 5.0, 7.0)]),  # within a cycle: wakes at 1.5, then when free
        (2.0, [(1, 3.0, 6.0), (2, 8.0, 10.0)]),  # longer: wakes every 2, at 1, then when free
    ],
)
def test_horovods_ranks_agree_before_they_send(negotiation, wanted):
    """Each waking costs it once, and what got ready meanwhile waits for the next."""
    some = gradients(3 * MIB, MIB, MIB)
    found = horovod_transfers(
        some,
        LINK.cost_seconds,
        threshold_bytes=9 * MIB,
        cycle=Cycle(1.0, negotiation),
    )
    assert [(one.bucket.gradients, one.start_seconds, one.end_seconds) for one in found] == wanted


def test_where_in_a_cycle_a_step_begins_is_chance():
    """Ready at the end of the pass and free to send: it waits for the next waking, half a cycle."""
    free = Allreduce(2, alpha_seconds=0.0, bytes_per_second=1e18)
    found = predict(setup(MIB, framework="horovod", allreduce=free, cycle_seconds=0.8))
    assert found.exposed_seconds == pytest.approx(0.4, abs=0.05)


def test_horovods_negotiation_is_an_allreduce_of_a_bit_a_tensor():
    """62 tensors and 3 status bits: two words of 8 bytes."""
    slow = Allreduce(2, alpha_seconds=0.5, bytes_per_second=16.0)
    some = setup(*(4,) * 62, framework="horovod", allreduce=slow, compression=2.0)
    assert some.negotiation_seconds == 2 * 0.5 + 16 / 16


def test_horovods_threshold_is_of_what_is_sent():
    """Two tensors of 3 MiB fit into a buffer of 3 when halved, and not when whole."""
    some = setup(3 * MIB, 3 * MIB, framework="horovod", fusion_mb=3, cycle_seconds=9.0)
    assert [one.bucket.gradients for one in predict(some).timeline] == [1, 1]
    halved = dataclasses.replace(some, compression=2.0)
    assert [one.bucket.gradients for one in predict(halved).timeline] == [2]


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [
        ((5, 5, 5), [2, 1]),  # the threshold itself fits
        ((20, 5), [1, 1]),  # above it: by itself
        ((4, 5, 3, 4, 1), [2, 3]),  # 4+5; 3 does not fit, and 1, which would, keeps its place
    ],
)
def test_what_horovod_fuses(sizes, wanted):
    """In order, as controller.cc does."""
    some = gradients(*sizes, every=1e-9)
    found = horovod_transfers(some, lambda _: 0.0, threshold_bytes=10, cycle=Cycle(1.0))
    assert [one.bucket.gradients for one in found] == wanted


def test_usual_what_ifs_leave_out_what_is_already_so():
    """Buckets of 25 MiB are no change to a job that has them."""
    now = setup(MIB, bucket_mb=25.0)
    names = [one.name for one in usual_changes(now)]
    assert "buckets of 25 MiB" not in names
    assert {"bandwidth x2", "buckets of 50 MiB", "accumulation of 4 passes"} <= set(names)


def test_a_wish_may_change_several_things():
    """Their effect is predicted at once."""
    now = setup(MIB, 3 * MIB, MIB)
    (one,) = outcomes(now, (parse_change("compression=fp16, accumulation=4", now),))
    assert one.prediction.efficiency == pytest.approx(20.5 / 21.5)
    assert one.delta == pytest.approx(20.5 / 21.5 - 5.5 / 8.5)


@pytest.mark.parametrize(
    "text", ["", "speed=2", "bandwidth", "bandwidth=0", "batch=nan", "accumulation=1.5", "a=b=c"]
)
def test_a_wish_that_is_none_is_refused(text):
    """With what is wanted."""
    with pytest.raises(UsageError, match="wanted KEY=VALUE"):
        parse_change(text, setup(MIB))


def test_no_sweep_no_cost():
    """A result without comm, or without a fit of allreduce, predicts nothing."""
    assert allreduce_of(None) is None
    assert allreduce_of({"ranks": 2, "results": [], "fits": {}}) is None
