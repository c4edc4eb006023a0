import pytest

from mpijob_runtime.spread import Placement, choose_judgement, describe_own_ranks


@pytest.fixture
def place(make_record):
    """Return a function that places ranks, given as (host, rank), in a plan."""

    def build(planned, *ranks, aliases=None, judgement="slots"):
        placement = Placement(planned, aliases=aliases or {}, judgement=judgement)
        for host, rank in ranks:
            placement.add(make_record("start", rank, host=host))
        return placement

    return build


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
def test_ranks_are_placed_by_short_name(planned, host, expected, place):
    """The wrapper gives the pod's name, the hostfile the full one: they are the same host."""
    assert place(planned, (host, 0)).hosts == expected


@pytest.mark.parametrize("hostname", ["pi-launcher", "node7.cluster.example"])
def test_this_container_is_placed_by_its_alias(hostname, place):
    """--host localhost: the wrapper writes this machine's own name, which is no other host."""
    found = place({"localhost": 2}, (hostname, 1), (hostname, 0), aliases={hostname: "localhost"})
    assert found.hosts == {"localhost": [0, 1]}
    assert found.misplaced == []


def test_all_ranks_on_one_host_contradict_the_plan(place):
    """Too many ranks on a host are found as soon as the one too many starts."""
    found = place({"w0": 1, "w1": 1}, ("w0", 0), ("w0", 1))
    assert found.misplaced == ["w0: planned at most 1 ranks, found 2: ranks 0-1"]


def test_a_rank_outside_the_plan_is_told_at_once(make_record):
    """Open MPI 5 without a hostfile runs everything in the launcher: the first rank tells."""
    placement = Placement({"w0": 1}, aliases={}, judgement="hosts")
    assert not placement.add(make_record("start", 0, host="w0"))
    assert placement.add(make_record("start", 1, host="launcher"))
    assert placement.misplaced == ["launcher: planned at most 0 ranks, found 1: rank 1"]


@pytest.mark.parametrize(("judgement", "wrong"), [("slots", 1), ("hosts", 0), ("none", 0)])
def test_slots_count_only_where_they_are_judged(judgement, wrong, place):
    """A user who has mpirun oversubscribe gets what was asked for."""
    found = place({"w0": 1}, ("w0", 0), ("w0", 1), judgement=judgement)
    assert len(found.misplaced) == wrong


@pytest.mark.parametrize(("judgement", "wrong"), [("slots", 1), ("hosts", 1), ("none", 0)])
def test_a_host_outside_the_plan_is_wrong_unless_nothing_is_judged(judgement, wrong, place):
    """A user's own -H is a plan of its own."""
    assert len(place({"w0": 1}, ("elsewhere", 0), judgement=judgement).misplaced) == wrong


def test_fewer_ranks_than_slots_are_in_place(place):
    """-n below the slots leaves hosts empty, which is no error."""
    assert place({"w0": 2, "w1": 2}, ("w0", 0)).misplaced == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("-n", "2", "/home/mpiuser/pi"), "hosts"),
        (("--oversubscribe", "pi"), "hosts"),
        (("-np", "2", "-H", "w0:2", "pi"), "none"),
        (("--host", "w0", "pi"), "none"),
        (("-host", "w0", "pi"), "none"),
        (("--hostfile=/x", "pi"), "none"),
        (("--map-by", "ppr:2:node", "pi"), "none"),
        (("-n", "2", "host"), "hosts"),
        (("-n", "8", "python", "serve.py", "--host", "0.0.0.0"), "hosts"),
        ((), "hosts"),
    ],
)
def test_a_users_mpirun_line_is_judged_by_its_hosts_at_most(arguments, expected):
    """A user's own placement is not held against the operator's hostfile."""
    assert choose_judgement({}, arguments, major=5) == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "slots"),
        ({"OMPI_MCA_rmaps_base_oversubscribe": "1"}, "hosts"),
        ({"PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}, "hosts"),
        ({"OMPI_MCA_pml": "ob1"}, "slots"),
    ],
)
def test_our_own_command_line_is_judged_by_slots_unless_mapping_is_the_users(environ, expected):
    """Launch -n fits the slots; a user's mapping variables may place them otherwise."""
    assert choose_judgement(environ, None, major=4) == expected


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        (("-n", "2", "-H", "localhost", "x"), "as -H localhost asks"),
        (("--host", "localhost:2", "x", "-H", "w0"), "as --host localhost:2 asks"),
        (("--hostfile=mine", "x"), "as --hostfile=mine asks"),
        (("-n", "2", "x"), "as mpirun was told"),
        (("x", "-H", "localhost"), "as mpirun was told"),
    ],
)
def test_ranks_on_the_launcher_are_called_that(line, asked):
    """With the option that put them there, as it was written."""
    hosts = {"w0": [], "w1": [2], "pi-launcher": [0, 1]}
    found = describe_own_ranks(hosts, "pi-launcher", line, major=5, verb="ran")
    assert found == f"2 ranks ran on the launcher itself, {asked}"
    assert describe_own_ranks(hosts, "other", line, major=5, verb="ran") == ""
