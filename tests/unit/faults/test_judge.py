from dataclasses import replace

import pytest
from faults.judge import judge, judge_bare
from faults.model import Expected, Observed

NAMES = {"host": "job-worker-1", "rank": "1", "other": "job-worker-2", "other_rank": "2"}
LOST = Expected((75,), ("failed",), (("{host}", "{other}"), ("lost",)), 20, 15, 10)
GOOD = Observed(
    exit_code=75,
    outcome="failed",
    verdict="host job-worker-2 was lost",
    noticed_seconds=2.0,
    ended_seconds=3.0,
    clean_seconds=1.0,
)


def test_what_is_as_expected_is_not_wrong():
    """One word of each group is enough."""
    assert judge(GOOD, LOST, NAMES) == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"exit_code": 137}, "exit code 137, wanted 75"),
        ({"outcome": "succeeded"}, "outcome succeeded, wanted failed"),
        ({"outcome": ""}, "outcome missing, wanted failed"),
        ({"verdict": "host was lost"}, "does not say job-worker-1 or job-worker-2"),
        ({"verdict": "job-worker-1 is gone"}, "does not say lost"),
        ({"ended_seconds": 21.0}, "ended after 21.0 s, wanted 20 s"),
        ({"noticed_seconds": 16.0}, "noticed after 16.0 s, wanted 15 s"),
        ({"noticed_seconds": None}, "noticed never, wanted 15 s"),
        ({"clean_seconds": 11.0}, "clean after 11.0 s, wanted 10 s"),
        ({"left": ("orted on job-worker-1",)}, "left: orted on job-worker-1"),
        ({"exit_code": None}, "hung: the launcher did not end"),
        ({"problem": "not done: no daemon"}, "not done: no daemon"),
    ],
)
def test_each_deviation_is_wrong_by_itself(change, words):
    """Nothing makes up for anything else."""
    assert judge(replace(GOOD, **change), LOST, NAMES) == (words,)


def test_a_success_names_nobody():
    """Where a job may succeed, it need not name a cause."""
    expected = Expected((0, 78), ("succeeded", "not_started"), (("/tmp",),))

    assert judge(Observed(0, "succeeded"), expected, NAMES) == ()
    assert judge(Observed(78, "not_started"), expected, NAMES) == ("does not say /tmp",)


def test_plain_mpirun_need_not_know_our_codes_and_words():
    """It has to fail, to name a host or rank, and to leave nothing."""
    assert judge_bare(replace(GOOD, exit_code=205, outcome=""), LOST, NAMES) == ()
    assert judge_bare(replace(GOOD, exit_code=0), LOST, NAMES) == ("exit code 0",)
    silent = judge_bare(replace(GOOD, exit_code=205, verdict="lost"), LOST, NAMES)
    assert silent == ("does not say job-worker-1 or job-worker-2",)
    assert judge_bare(Observed(1), Expected((0,), ("succeeded",)), NAMES) == ("exit code 1",)
