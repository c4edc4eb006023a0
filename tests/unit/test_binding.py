import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nvml import hand_made
from nvml.fake_nvml import FakeNvml

from mpijob_runtime.binding import bind_local_ranks
from mpijob_runtime.facts import GpuFacts, GpuHostFacts, MigInstance
from mpijob_runtime.probes.gpu import probe_gpus

LOW, HIGH = frozenset(range(8)), frozenset(range(8, 16))
ALL = LOW | HIGH


def host(*near, **changes):
    """Return a host with a GPU for each set of near processors; keywords change the first."""
    gpus = [GpuFacts(n, uuid=f"GPU-{n}", cpus=tuple(sorted(cpus))) for n, cpus in enumerate(near)]
    if changes:
        gpus[0] = GpuFacts(0, uuid="GPU-0", cpus=tuple(sorted(near[0])), **changes)
    return GpuHostFacts(gpus=tuple(gpus))


REFUSED = "NCCL refuses two ranks on one GPU (Duplicate GPU detected)"
FOUR = host(LOW, LOW, HIGH, HIGH)


@pytest.mark.parametrize(
    ("facts", "allowed", "ranks", "gpus", "cpus"),
    [
        (FOUR, ALL, 4, [0, 1, 2, 3], [LOW, LOW, HIGH, HIGH]),
        (FOUR, ALL, 2, [0, 1], [LOW, LOW]),
        (FOUR, ALL, 6, [0, 1, 2, 3, 0, 1], [LOW, LOW, HIGH, HIGH, LOW, LOW]),
        (FOUR, {0, 1, 8, 9}, 4, [0, 1, 2, 3], [{0, 1}, {0, 1}, {8, 9}, {8, 9}]),
        (FOUR, {0, 8, 9}, 4, [0, 1, 2, 3], [None, None, {8, 9}, {8, 9}]),
        (FOUR, LOW, 4, [0, 1, 2, 3], [None] * 4),
        (host(ALL, ALL), ALL, 2, [0, 1], [None, None]),
        (host((), ()), ALL, 2, [0, 1], [None, None]),
        (host(LOW, HIGH, fault="fell off the bus"), ALL, 1, [1], [HIGH]),
        (GpuHostFacts(), ALL, 3, [None] * 3, [None] * 3),
        (None, ALL, 2, [None] * 2, [None] * 2),
        (FOUR, ALL, 0, [], []),
    ],
    ids=[
        *("a rank for each GPU", "fewer ranks", "more ranks", "a small cpuset"),
        *("too few processors on one node", "a cpuset of one node", "one node"),
        *("nothing known", "a lost GPU", "no GPU", "no facts", "no rank"),
    ],
)
def test_ranks_have_gpus_and_processors(facts, allowed, ranks, gpus, cpus):
    """In the order of the bus, near their GPU, within the cpuset."""
    places = bind_local_ranks(facts, allowed, ranks).places
    assert [place.gpu for place in places] == gpus
    assert [place.cpus for place in places] == cpus


@pytest.mark.parametrize(
    ("facts", "ranks", "warnings"),
    [
        (FOUR, 4, ()),
        (FOUR, 1, ("1 slot, 4 GPUs: 3 of 4 are left idle",)),
        (
            FOUR,
            8,
            ("8 slots, 4 GPUs: local ranks 0,4 share GPU 0, and so on for 4 GPUs; " + REFUSED,),
        ),
        (
            host(LOW),
            2,
            ("2 slots, 1 GPU: local ranks 0-1 share GPU 0; " + REFUSED,),
        ),
        (
            host(LOW, HIGH, fault="needs a reset (GPU requires restart)"),
            1,
            ("GPU 0 is not used: needs a reset (GPU requires restart)",),
        ),
        (host(LOW, fault="lost"), 2, ("GPU 0 is not used: lost",)),
        (None, 2, ()),
    ],
)
def test_slots_that_do_not_fit_the_gpus_are_explained(facts, ranks, warnings):
    """With the arithmetic, and with what NCCL will say."""
    assert bind_local_ranks(facts, ALL, ranks).warnings == warnings


@pytest.mark.parametrize(
    ("facts", "allowed", "reason"),
    [
        (FOUR, ALL, "processors 0-7 are near GPU 0"),
        (FOUR, {0, 9}, "of the processors near GPU 0 the cpuset leaves 1 for 2 ranks"),
        (FOUR, LOW, "all processors of this container are near its GPU"),
        (host(()), ALL, "which processors are near GPU 0 is unknown"),
        (None, ALL, "no GPU"),
    ],
)
def test_every_place_has_its_reason(facts, allowed, reason):
    """For ``plan``, bound or not."""
    assert bind_local_ranks(facts, allowed, 2).places[0].reason == reason


def test_parts_of_a_gpu_are_ranks_own():
    """By their UUIDs; that two are on one GPU is said."""
    parts = (MigInstance("MIG-a"), MigInstance("MIG-b"))
    found = bind_local_ranks(host(LOW, HIGH, mig_enabled=True, mig_instances=parts), ALL, 3)
    assert [place.uuid for place in found.places] == ["MIG-a", "MIG-b", "GPU-1"]
    assert [place.gpu for place in found.places] == [0, 0, 1]
    assert "local ranks 0-1 share GPU 0" in found.warnings[0]


def test_a_gpu_in_mig_mode_without_instances_is_no_gpu():
    """CUDA does not see it either."""
    assert bind_local_ranks(host(LOW, mig_enabled=True), ALL, 1).places[0].gpu is None


def test_a_probed_host_is_bound_by_its_nodes():
    """From NVML's answers to processors: eight GPUs, 32 processors near each four."""
    facts = probe_gpus(FakeNvml(hand_made.with_nvswitch()))
    places = bind_local_ranks(facts, range(64), 8).places
    assert [min(place.cpus) for place in places] == [0] * 4 + [32] * 4
    assert {len(place.cpus) for place in places} == {32}


CPUS = st.frozensets(st.integers(0, 31))


@settings(deadline=None)
@given(st.lists(CPUS, max_size=8), CPUS, st.integers(0, 20))
def test_what_always_holds(near, allowed, ranks):
    """Within the cpuset, a processor for each rank, all GPUs used before one is shared."""
    found = bind_local_ranks(host(*near), allowed, ranks)
    assert len(found.places) == ranks
    uses = [place.gpu for place in found.places]
    assert set(uses) == (set(range(min(ranks, len(near)))) if near else {None} & set(uses))
    for place in found.places:
        assert place.reason
        if place.cpus is not None:
            assert place.cpus < allowed
            assert len(place.cpus) >= sum(other.cpus == place.cpus for other in found.places)
    shared = near and ranks > len(near)
    assert any("share" in warning for warning in found.warnings) == bool(shared)
