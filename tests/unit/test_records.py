import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpijob_runtime.records import parse_record

START = {
    "event": "start",
    "rank": 3,
    "world_size": 8,
    "local_rank": 1,
    "found": 1,
    "job": "[1,1]",
    "time": 1000.25,
    "monotonic": 5.0,
    "env": {"PATH": "/bin"},
    "versions": {"torch": "2.9"},
}
EXIT = {"event": "exit", "rank": 3, "time": 1001.5, "signal": 9, "oom_kills": 1}


def test_a_start_is_read():
    """A start has who, where, when and what is compared, and is no failure."""
    found = parse_record(START, "w1")
    assert (found.event, found.rank, found.world_size, found.host) == ("start", 3, 8, "w1")
    assert (found.time_seconds, found.job, found.found) == (1000.25, "[1,1]", True)
    assert (found.environ, found.versions) == ({"PATH": "/bin"}, {"torch": "2.9"})
    assert not found.failed
    assert not found.ended


def test_a_start_without_its_program_says_so():
    """The wrapper has looked for the program before anything runs."""
    assert not parse_record(START | {"found": 0}, "w1").found


def test_an_exit_by_signal_is_read():
    """An exit has the signal and what the cgroup counted."""
    found = parse_record(EXIT, "w1")
    assert (found.event, found.exit_code, found.signal, found.oom_kills) == ("exit", None, 9, 1)
    assert found.ended


@pytest.mark.parametrize(
    ("event", "exit_code", "signal", "failed", "shell_code"),
    [
        ("exit", 0, None, False, 0),
        ("exit", 3, None, True, 3),
        ("exit", None, 15, True, 143),
        ("exit", None, 11, True, 139),
        ("vanished", None, None, True, 137),
    ],
)
def test_an_end_fails_unless_it_is_an_exit_with_zero(event, exit_code, signal, failed, shell_code):
    """A signal, another code than 0, or no word at all is a failure; the code is the shell's."""
    ends = {"event": event, "exit_code": exit_code, "signal": signal}
    found = parse_record(EXIT | ends, "w1")
    assert found.ended
    assert (found.failed, found.shell_code) == (failed, shell_code)


NO_RECORDS = [
    {},
    {"event": "hello"},
    START | {"event": None},
    START | {"event": "pause"},
    START | {"rank": "three"},
    START | {"rank": None},
    START | {"rank": True},
    START | {"rank": float("inf")},
    START | {"rank": float("nan")},
    START | {"time": "noon"},
    START | {"world_size": [8]},
    {k: v for k, v in START.items() if k != "rank"},
    {k: v for k, v in START.items() if k != "time"},
    EXIT | {"exit_code": "3", "signal": None},
    EXIT | {"exit_code": [3]},
    EXIT | {"signal": "KILL"},
    START | {"event": []},
]


@pytest.mark.parametrize("event", NO_RECORDS, ids=str)
def test_what_is_no_record_is_none(event):
    """An event of another kind, or a damaged one, is passed over, never an exception."""
    assert parse_record(event, "w1") is None


@pytest.mark.parametrize("value", [None, 3, "x", ["PATH"]])
def test_compared_values_of_the_wrong_type_are_left_out(value):
    """What cannot be compared does not cost the record."""
    assert parse_record(START | {"env": value, "versions": value}, "w1").environ == {}


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
)


@given(st.fixed_dictionaries(dict.fromkeys(START | EXIT, VALUES)))
def test_records_with_wrong_types_are_hashable_or_none(event):
    """Whatever an agent sends, the launcher goes on."""
    for name in ("start", "exit", "vanished", event["event"]):
        found = parse_record({**event, "event": name}, "w1")
        assert len({found, found}) == 1
