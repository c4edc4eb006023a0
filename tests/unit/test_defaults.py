import dataclasses
import string

import pytest

from mpijob_runtime.defaults import DEFAULTS, RANK_DEFAULTS, defaults_for, rank_defaults_for
from mpijob_runtime.facts import RankFacts

NAMES = [row.name for row in DEFAULTS]
RANK_NAMES = [row.name for row in RANK_DEFAULTS]
PLACES = {"binding", "control_interface", "hostfile", "rsh", "rank_wrapper"}


@pytest.mark.parametrize("row", DEFAULTS, ids=NAMES)
def test_every_row_says_why_and_on_whose_word(row):
    """No default without a reason and a source."""
    assert len(row.why) > 10
    assert len(row.source) > 5
    assert row.condition


@pytest.mark.parametrize("row", DEFAULTS, ids=NAMES)
def test_every_place_in_a_value_is_one_that_the_plan_fills(row):
    """Values name no path that nobody fills in."""
    places = {field for _, field, _, _ in string.Formatter().parse(row.value) if field}
    assert places <= PLACES


def test_no_variable_has_two_rows():
    """One variable, one row."""
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize(
    ("major", "own", "foreign"), [(4, "OMPI_MCA_orte_", "PRTE_"), (5, "PRTE_MCA_", "_orte_")]
)
def test_each_generation_gets_the_names_that_it_reads(major, own, foreign, make_facts):
    """Open MPI 4 gets ORTE's names, 5 gets PRRTE's, neither the other's."""
    names = [row.name for row in defaults_for(major, make_facts(uid=0, ptrace_scope=1))]
    assert any(name.startswith(own) for name in names)
    assert not any(foreign in name for name in names)


@pytest.mark.parametrize("major", [4, 5])
@pytest.mark.parametrize(
    ("without", "with_", "fragments"),
    [
        ({"uid": 1000}, {"uid": 0}, ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM")),
        ({"wrapper": None}, {"wrapper": "/w"}, ("_agent",)),
        ({"ptrace_scope": 0}, {"ptrace_scope": 1}, ("vader_single_copy", "smsc")),
        ({"writable_tmp": True}, {"writable_tmp": False}, ("tmpdir_base", "TMPDIR")),
    ],
    ids=["root", "wrapper", "yama", "no tmp"],
)
def test_a_condition_adds_its_rows_and_no_others(major, without, with_, fragments, make_facts):
    """A fact turns exactly the rows on that are meant for it."""
    former = {row.name for row in defaults_for(major, make_facts(**without))}
    later = {row.name for row in defaults_for(major, make_facts(**with_))}
    added = later - former
    assert former < later
    assert all(any(fragment in name for fragment in fragments) for name in added)


@pytest.mark.parametrize("row", DEFAULTS, ids=NAMES)
def test_a_row_that_always_holds_says_so(row, make_facts):
    """The condition in words agrees with the condition in code, at both ends."""
    nothing = make_facts(wrapper=None)
    assert (row.condition == "always") == row.applies(nothing)


@pytest.mark.parametrize(
    ("several", "expected"),
    [(None, set()), ("eth0", {"OMPI_MCA_oob_tcp_if_include", "PRTE_MCA_prte_if_include"})],
)
@pytest.mark.parametrize("major", [4, 5])
def test_daemons_are_told_an_interface_only_among_several(several, expected, major, make_facts):
    """With one there is no question; each generation has its own name for it."""
    facts = dataclasses.replace(make_facts(), control_interface=several)
    found = {row.name for row in defaults_for(major, facts) if "{control_" in row.value}
    assert found <= expected
    assert len(found) == bool(several)


NOTHING = RankFacts(interface=None, family=4, rdma_seen=True, rdma_usable=True, threads=1)
ON = {
    "NCCL_SOCKET_IFNAME": {"interface": "eth0"},
    "NCCL_SOCKET_FAMILY": {"interface": "eth0", "family": 6},
    "NCCL_IB_DISABLE": {"rdma_seen": False, "rdma_usable": False},
    "GLOO_SOCKET_IFNAME": {"interface": "eth0"},
    "HOROVOD_GLOO_IFACE": {"interface": "eth0"},
    "UCX_NET_DEVICES": {"interface": "eth0", "rdma_seen": False, "rdma_usable": False},
    "OMPI_MCA_btl_tcp_if_include": {"interface": "eth0"},
    "OMPI_MCA_pml=ob1": {"rdma_usable": False},
    "OMPI_MCA_pml=^monitoring": {"rdma_everywhere": True},
    "OMPI_MCA_osc": {"rdma_usable": False},
    "OMPI_MCA_mpi_yield_when_idle": {"crowded": True},
    "CUDA_DEVICE_ORDER": {"gpus": 1},
}
"""The least that must be so for a rank to get a variable that it does not always get."""


@pytest.mark.parametrize("row", RANK_DEFAULTS, ids=RANK_NAMES)
def test_a_ranks_row_holds_where_its_condition_does_and_nowhere_else(row):
    """At both ends; each single fact that is taken away turns it off."""
    needed = ON.get(row.name) or ON.get(f"{row.name}={row.value}", {})
    assert row.applies(dataclasses.replace(NOTHING, **needed))
    assert (row.condition == "always") == row.applies(NOTHING) == (not needed)
    for fact in needed.keys() - {"rdma_usable"}:
        without = needed | {fact: getattr(NOTHING, fact)}
        assert not row.applies(dataclasses.replace(NOTHING, **without))


@pytest.mark.parametrize("row", RANK_DEFAULTS, ids=RANK_NAMES)
def test_every_row_of_ranks_says_why_since_when_and_on_whose_word(row):
    """In words that fit into one line of a table."""
    assert len(row.why) > 10
    assert len(row.source) > 5
    assert any(letter.isdigit() for letter in row.since)
    assert row.condition
    assert "\n" not in row.why + row.source + row.condition


def test_ranks_rows_leave_alone_what_can_cost_speed():
    """Algorithms, protocols and levels are NCCL's own choice; ours would be wrong somewhere."""
    forbidden = ("ALGO", "PROTO", "P2P_LEVEL", "NVLS", "NTHREADS", "GDR_LEVEL")
    assert not [name for name in RANK_NAMES if any(word in name for word in forbidden)]


@pytest.mark.parametrize(("usable", "everywhere"), [(False, False), (True, False), (True, True)])
def test_two_rows_of_one_variable_never_hold_together(usable, everywhere):
    """MPI takes UCX or ob1, whatever the hosts have; where they differ it is asked for neither."""
    facts = dataclasses.replace(NOTHING, rdma_usable=usable, rdma_everywhere=everywhere)
    found = [row.name for row in rank_defaults_for(facts)]
    assert len(set(found)) == len(found)
    assert ("OMPI_MCA_pml" in found) == (usable == everywhere)


def test_ranks_rows_are_those_that_apply():
    """In the table's order."""
    found = [row.name for row in rank_defaults_for(NOTHING)]
    assert found == ["NCCL_DEBUG", "OMP_NUM_THREADS"]
