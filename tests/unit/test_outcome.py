import json

import pytest

from mpijob_runtime.outcome import (
    MOST_BYTES,
    FirstFailure,
    Outcome,
    describe_exit,
    format_outcome,
    format_ranks,
)

FAILURE = FirstFailure(
    3, "w1", 7, None, "rank 3 on w1 failed first: exit code 7", ("rank 0 later",)
)


@pytest.fixture
def outcome():
    """Return the outcome of a failed job."""
    return Outcome(
        "failed",
        7,
        FAILURE.cause,
        first_failure=FAILURE,
        ranks_started=4,
        world_size=4,
        hosts={"w0.job.svc": [0, 1], "w1.job.svc": [2, 3], "w2.job.svc": []},
        phases_seconds={"wait": 1.23456, "start": 0.5, "run": 10.0},
    )


def test_json_has_exactly_the_keys_of_the_contract(outcome):
    """The report's keys are a stable contract, in its order."""
    data = json.loads(json.dumps(outcome.to_json()))
    assert list(data) == [
        "outcome",
        "exit_code",
        "reason",
        "first_failure",
        "ranks_started",
        "world_size",
        "hosts",
        "spread",
        "network",
        "nccl",
        "phases_seconds",
    ]
    assert list(data["first_failure"]) == [
        "rank",
        "host",
        "exit_code",
        "signal",
        "cause",
        "evidence",
    ]
    assert data["hosts"][0] == {"name": "w0.job.svc", "ranks": [0, 1]}
    assert data["phases_seconds"] == {"wait": 1.235, "start": 0.5, "run": 10.0}
    assert data["first_failure"]["evidence"] == ["rank 0 later"]


def test_json_of_an_outcome_without_failure_has_null():
    """A key is there even when it has nothing to say."""
    data = Outcome("succeeded", 0, "4 ranks").to_json()
    assert data["first_failure"] is None
    assert data["hosts"] == []


def test_the_text_begins_with_the_result_and_has_every_host(outcome):
    """The first line says what came of it; hosts and phases follow."""
    expected = """\
failed: rank 3 on w1 failed first: exit code 7
  rank 0 later
  4 of 4 ranks started on 2 hosts
    w0  ranks 0-1
    w1  ranks 2-3
    w2  no rank
  phases: wait 1.2 s, start 0.5 s, run 10.0 s
"""
    assert expected == format_outcome(outcome)


def test_a_job_that_did_not_start_is_one_sentence():
    """Without ranks there is nothing to list."""
    assert format_outcome(Outcome("not_started", 65, "no hosts")) == "not started: no hosts\n"


def test_many_hosts_are_counted_after_the_first_sixteen():
    """A large job's text stays short."""
    hosts = {f"w{number}": [number] for number in range(100)}
    found = format_outcome(Outcome("succeeded", 0, "ok", ranks_started=100, hosts=hosts))
    assert "… and 84 more hosts" in found
    assert "w16 " not in found


@pytest.mark.parametrize("letter", ["x", "é", "語", "😀"])
def test_the_text_fits_into_a_termination_log(letter):
    """4,096 bytes at most, cut between characters, and the cut is seen."""
    data = format_outcome(Outcome("failed", 1, letter * 5000)).encode()
    assert MOST_BYTES - 4 <= len(data) <= MOST_BYTES
    assert data.decode().endswith("…\n")


def test_a_text_that_just_fits_is_not_cut():
    """The limit itself is allowed."""
    room = MOST_BYTES - len("failed: \n")
    assert len(format_outcome(Outcome("failed", 1, "x" * room)).encode()) == MOST_BYTES
    assert "…" not in format_outcome(Outcome("failed", 1, "x" * room))


def test_a_reason_that_is_not_unicode_can_be_shown():
    """A path with bytes that are no UTF-8 in a message does not end the launcher."""
    assert "not started" in format_outcome(Outcome("not_started", 65, "/tmp/\udcff: missing"))


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [
        ([3], "rank 3"),
        ([0, 1], "ranks 0-1"),
        ([0, 2], "ranks 0,2"),
        ([6, 0, 1, 2, 3], "ranks 0-3,6"),
        ([0, 1, 2, 4, 5, 9], "ranks 0-2,4-5,9"),
        ([*range(0, 128, 2)], "ranks 0,2,4,6,8,10,12,14 … and 56 more"),
        ([0, 1, *range(3, 128, 2)], "ranks 0-1,3,5,7,9,11,13,15 … and 56 more"),
    ],
)
def test_ranks_are_shown_as_spans(ranks, expected):
    """Neighbours are joined, whatever their order."""
    assert expected == format_ranks(ranks)


@pytest.mark.parametrize(
    ("exit_code", "signal", "expected"),
    [
        (3, None, "exit code 3"),
        (None, 9, "signal 9 (SIGKILL)"),
        (None, 15, "signal 15 (SIGTERM)"),
        (None, 99, "signal 99"),
    ],
)
def test_an_exit_is_described_in_words(exit_code, signal, expected):
    """A signal has its name where it has one."""
    assert expected == describe_exit(exit_code, signal)
