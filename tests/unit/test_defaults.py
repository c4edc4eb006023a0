import string

import pytest

from mpijob_runtime.defaults import DEFAULTS, defaults_for

NAMES = [row.name for row in DEFAULTS]
PLACES = {"hostfile", "rsh", "rank_wrapper"}


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
        ({"rdma_devices": ("mlx5_0",)}, {"rdma_devices": ()}, ("OMPI_MCA_pml",)),
        ({"wrapper": None}, {"wrapper": "/w"}, ("_agent",)),
        ({"ptrace_scope": 0}, {"ptrace_scope": 1}, ("vader_single_copy", "smsc")),
        ({"writable_tmp": True}, {"writable_tmp": False}, ("tmpdir_base", "TMPDIR")),
    ],
    ids=["root", "no rdma", "wrapper", "yama", "no tmp"],
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
    nothing = make_facts(wrapper=None, rdma_devices=("mlx5_0",))
    assert (row.condition == "always") == row.applies(nothing)
