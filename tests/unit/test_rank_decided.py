"""What the real wrapper makes of the variables that it is told at the gate."""

import os

import pytest

from mpijob_runtime import carried
from mpijob_runtime.rank import _take_what_was_decided

SHOW = 'for name in "$@"; do eval echo "$name=\\$$name"; done'


@pytest.fixture
def run_with(start_rank, gate, hear):
    """Return a function that lets a program through with these words and gives its output."""

    def run(told, *argv, environ=None, first=True):
        rank = start_rank(*argv, environ={"OMPI_MPIJOB_STREAMS": "mpirun", **(environ or {})})
        wrapper = gate.accept()
        _, fields, _ = hear(wrapper)
        wrapper.rank = fields["rank"]
        wrapper.go(told, first=first)
        hear(wrapper)
        rank.code = rank.end()
        return rank.output.splitlines()

    return run


def show(*names):
    """Return the argv of a program that prints variables."""
    return ("sh", "-c", SHOW, "show", *names)


def test_a_variable_that_the_rank_lacks_is_set(run_with):
    """Values with equals signs, blanks and commas are taken as they are."""
    told = {"all.A": "=eth0", "all.B": "a b,c=d", "do": "go"}
    assert run_with(told, *show("A", "B", "do")) == ["A==eth0", "B=a b,c=d", "do="]


@pytest.mark.parametrize("value", ["mine", ""])
def test_a_variable_that_the_rank_has_is_left_alone(value, run_with):
    """Even an empty one: somebody has said it."""
    assert run_with({"all.A": "told"}, *show("A"), environ={"A": value}) == [f"A={value}"]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [({}, "A=told"), ({"OTHER": ""}, "A="), ({"THIRD": "x"}, "A=")],
)
def test_another_variable_may_speak_against_it(environ, expected, run_with):
    """``NAME!OTHER!THIRD`` is for ranks that have neither."""
    assert run_with({"all.A!OTHER!THIRD": "told"}, *show("A"), environ=environ) == [expected]


def test_only_what_the_user_has_said_speaks_against_it(run_with):
    """Not what came in the same word."""
    told = {"all.OTHER": "told", "all.A!OTHER": "told"}
    assert run_with(told, *show("A", "OTHER")) == ["A=told", "OTHER=told"]


@pytest.mark.parametrize(("first", "expected"), [(True, "A=own"), (False, "A=all")])
def test_a_ranks_own_word_is_stronger_and_only_for_the_first_ranks(first, expected, run_with):
    """Ranks that a program spawns later have the same numbers."""
    told = {"all.A": "all", "3.A": "own", "33.A": "another's"}
    assert run_with(told, *show("A"), first=first) == [expected]


def test_a_rank_is_bound_to_the_processors_that_it_is_told(run_with):
    """The kernel's word, asked by the program itself."""
    cpu = max(os.sched_getaffinity(0))
    told = {f"3.{carried.CPUS}": str(cpu)}
    found = run_with(told, "python3", "-c", "import os; print(os.sched_getaffinity(0))")
    assert found == [str({cpu})]


def test_processors_that_are_gone_leave_the_rank_unbound(run_with):
    """Slower, not wrong; the variable is no news for the program."""
    told = {f"3.{carried.CPUS}": "1023"}
    program = "import os; print(os.sched_getaffinity(0), os.environ.get('MPIJOB_CPUS'))"
    assert run_with(told, "python3", "-c", program) == [f"{os.sched_getaffinity(0)} None"]


def test_a_word_of_two_hundred_kilobytes_arrives_whole(run_with):
    """One packet, in the agent's and the wrapper's measure and in the kernel's."""
    told = {"all.A": "x" * 60_000, "all.B": "y" * 60_000, "all.C": "z" * 60_000}
    script = 'echo "${#A} ${#B} ${#C}"'
    assert run_with(told, "sh", "-c", script) == ["60000 60000 60000"]


def test_nothing_told_changes_nothing():
    """As before there was anything to tell."""
    environ = {"A": "b"}
    _take_what_was_decided(environ, {})
    assert environ == {"A": "b"}
