import pytest

from mpijob_runtime.spread import find_misplaced, place_ranks, places_itself


@pytest.mark.parametrize(
    ("planned", "host", "expected"),
    [
        ({"w0.job.svc": 1}, "w0", {"w0.job.svc": [0]}),
        ({"w0": 1}, "w0.job.svc", {"w0": [0]}),
        ({"w0": 1}, "w1", {"w0": [], "w1": [0]}),
        ({"10.0.0.1": 1, "10.0.0.2": 1}, "10.0.0.1", {"10.0.0.1": [0], "10.0.0.2": []}),
    ],
    ids=["full in plan", "full in record", "stranger", "addresses"],
)
def test_ranks_are_placed_by_short_name(planned, host, expected, make_record):
    """The wrapper gives the pod's name, the hostfile the full one: they are the same host."""
    assert expected == place_ranks(planned, [make_record("start", 0, host=host)], aliases={})


@pytest.mark.parametrize("hostname", ["pi-launcher", "node7.cluster.example"])
def test_this_container_is_placed_by_its_alias(hostname, make_record):
    """--host localhost: the wrapper writes this machine's own name, which is no other host."""
    starts = [make_record("start", rank, host=hostname) for rank in (1, 0)]
    found = place_ranks({"localhost": 2}, starts, aliases={hostname: "localhost"})
    assert found == {"localhost": [0, 1]}


def test_ranks_of_a_host_are_sorted(make_record):
    """Records come in any order, ranks are listed in theirs."""
    starts = [make_record("start", rank, host="w0") for rank in (3, 1, 2)]
    assert place_ranks({"w0": 4}, starts, aliases={}) == {"w0": [1, 2, 3]}


def test_all_ranks_on_one_host_contradict_the_plan():
    """Open MPI 5 without a hostfile runs everything at home: that is found."""
    found = find_misplaced({"w0": 1, "w1": 1}, {"w0": [0, 1], "w1": []})
    assert found == ["w0: planned at most 1 ranks, found 2: ranks 0-1"]


def test_a_rank_outside_the_plan_contradicts_it():
    """A host that is not in the plan has no slots."""
    found = find_misplaced({"w0": 1}, {"w0": [0], "stranger": [1]})
    assert found == ["stranger: planned at most 0 ranks, found 1: rank 1"]


def test_fewer_ranks_than_slots_are_in_place():
    """-n below the slots leaves hosts empty, which is no error."""
    assert find_misplaced({"w0": 2, "w1": 2}, {"w0": [0], "w1": []}) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("-n", "2", "/home/mpiuser/pi"), False),
        (("-np", "2", "-H", "w0:2", "pi"), True),
        (("--host", "w0", "pi"), True),
        (("-host", "w0", "pi"), True),
        (("--hostfile", "/x", "pi"), True),
        (("--map-by", "ppr:2:node", "pi"), True),
        (("-npernode", "2", "pi"), True),
        (("--oversubscribe", "pi"), True),
        (("-n", "2", "host"), False),
        ((), False),
    ],
)
def test_arguments_that_place_ranks_are_noticed(arguments, expected):
    """A user's own placement is not held against the operator's hostfile."""
    assert expected == places_itself(arguments)
