import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpijob_runtime.records import parse_record

START = {
    "event": "start",
    "rank": 3,
    "world_size": 8,
    "local_rank": 1,
    "host": "w1",
    "pid": 77,
    "boot_id": "b-1",
    "time": 1000.25,
    "monotonic": 5.0,
}
EXIT = START | {"event": "exit", "exit_code": None, "signal": 9, "oom_kills": 1}


def test_a_start_is_read():
    """A start has who, where and when, and is no failure."""
    found = parse_record(json.dumps(START))
    assert (found.event, found.rank, found.world_size) == ("start", 3, 8)
    assert (found.host, found.boot_id, found.time_seconds) == ("w1", "b-1", 1000.25)
    assert not found.failed


def test_an_exit_by_signal_is_read():
    """An exit has the signal and what the cgroup counted."""
    found = parse_record(json.dumps(EXIT))
    assert (found.event, found.exit_code, found.signal, found.oom_kills) == ("exit", None, 9, 1)


@pytest.mark.parametrize(
    ("exit_code", "signal", "failed", "shell_code"),
    [(0, None, False, 0), (3, None, True, 3), (None, 15, True, 143), (None, 11, True, 139)],
)
def test_an_exit_fails_unless_it_is_zero(exit_code, signal, failed, shell_code):
    """A signal or a code other than 0 is a failure; the code is the shell's."""
    found = parse_record(json.dumps(EXIT | {"exit_code": exit_code, "signal": signal}))
    assert (found.failed, found.shell_code) == (failed, shell_code)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "no json",
        "[]",
        "null",
        "3",
        "{}",
        json.dumps(START | {"event": "pause"}),
        json.dumps(START | {"event": []}),
        json.dumps(START | {"rank": "three"}),
        json.dumps(START | {"rank": None}),
        json.dumps(START | {"rank": float("inf")}),
        json.dumps(START | {"time": "noon"}),
        json.dumps({k: v for k, v in START.items() if k != "host"}),
        json.dumps(EXIT | {"exit_code": "3", "signal": None}),
        json.dumps(EXIT | {"exit_code": [3]}),
        json.dumps(EXIT | {"signal": "KILL"}),
        json.dumps(START | {"host": "x" * 5000}),
        "[" * 4000,
        json.dumps(START)[:-5],
    ],
    ids=lambda line: line[:40],
)
def test_what_is_no_record_is_none(line):
    """A line of anybody else's in the file is passed over, never an exception."""
    assert parse_record(line) is None


@given(st.text(max_size=200))
def test_arbitrary_text_is_never_an_exception(text):
    """Whatever a program writes into the file, the launcher goes on."""
    parse_record(text)


VALUES = st.one_of(
    st.none(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers(), max_size=2)
)


@given(st.fixed_dictionaries({name: VALUES for name in EXIT if name != "event"}))
def test_records_with_wrong_types_are_hashable_or_none(data):
    """What parse_record returns can be put into a set, as the follower does."""
    found = parse_record(json.dumps(data | {"event": "exit"}))
    assert len({found, found}) == 1
