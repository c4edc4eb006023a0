"""What ranks tell becomes steps and the summary of a launch."""

import pytest

from mpijob_bench.collect import Collector
from mpijob_bench.launches import Line, parse_line
from mpijob_bench.plan import Steps

HOSTS = ["w-0", "w-1"]


def collector(steps, **options):
    """Return a collector that puts steps into a list."""
    settings = {"alone": False, "warmup": Steps(warmup=2, warmup_seconds=0.0), **options}
    return Collector(3, HOSTS, steps.extend, **settings)


def told(rank, seconds, *, mode="full", warmup=False):
    """Return the line of a rank's steps."""
    data = {"bench": "steps", "mode": mode, "first": 0, "seconds": seconds, "warmup": warmup}
    return Line(rank, HOSTS[rank % 2], data)


def ended(rank, seconds, samples=10, mode="full"):
    """Return the line at a block's end."""
    data = {"bench": "block", "mode": mode, "steps": 2, "samples": samples, "seconds": seconds}
    return Line(rank, HOSTS[rank % 2], data)


def test_a_step_of_the_job_is_as_long_as_the_slowest_rank():
    """Step by step, whatever rank it is and in whatever pieces they tell."""
    found = collector([])
    for line in (told(0, [1.0]), told(1, [2.0, 1.0]), told(0, [4.0]), ended(0, 5), ended(1, 3)):
        found.take(line)
    assert found.modes()["full"]["step_seconds"]["max"] == 4.0
    assert found.modes()["full"]["step_seconds"]["mean"] == 3.0


def test_rates_are_samples_over_the_slowest_ranks_time():
    """Of each node, and of the job: never a mean of rates."""
    found = collector([])
    for line in (told(0, [2.0]), told(1, [4.0]), ended(0, 2.0), ended(1, 4.0)):
        found.take(line)
    full = found.modes()["full"]
    assert full["samples_per_second"] == [5.0, 2.5]
    assert full["job_samples_per_second"] == 5.0
    assert full["mean_seconds"] == [2.0, 4.0]


def test_two_ranks_of_a_node_add_up():
    """Their samples; the time is that of the slower one."""
    found = collector([], alone=True)
    for rank, seconds in ((0, 2.0), (2, 4.0), (1, 1.0), (3, 1.0)):
        found.take(told(rank, [seconds]))
        found.take(ended(rank, seconds))
    full = found.modes()["full"]
    assert full["samples_per_second"] == [5.0, 20.0]
    assert full["job_samples_per_second"] is None


def test_warm_up_is_recorded_and_not_counted():
    """Steps are numbered through."""
    steps = []
    found = collector(steps)
    found.take(told(0, [9.0, 9.0], warmup=True))
    found.take(told(0, [1.0]))
    found.take(ended(0, 1.0))
    assert [(step["step"], step["warmup"]) for step in steps] == [
        (0, True),
        (1, True),
        (2, False),
    ]
    assert found.modes()["full"]["step_seconds"]["max"] == 1.0


def test_wrong_elements_of_all_ranks_add_up():
    """One on each of two ranks are two."""
    found = collector([])
    for rank in range(2):
        told = {"bench": "rank", "wrong_elements": 1, "boot_id": f"boot-{rank}"}
        found.take(Line(rank, HOSTS[rank], told))
    assert found.wrong_elements == 2
    assert found.boot_ids()[:2] == ["boot-0", "boot-1"]


def test_a_users_steps_count_after_the_warm_up():
    """Lines of Metrics; what is none is left out."""
    steps = []
    found = collector(steps)
    for step in range(5):
        data = {"step": step, "step_seconds": 0.5 + step, "samples": 4, "loss": 1.0}
        found.take_user_step(Line(0, "w-0", data))
    for odd in ({}, {"step_seconds": "x", "samples": 1}, {"step_seconds": 0, "samples": 1}):
        found.take_user_step(Line(0, "w-0", odd))
    full = found.modes()["full"]
    assert full["steps"] == 3
    assert full["samples_per_second"] == [12 / (2.5 + 3.5 + 4.5), None]
    assert len(steps) == 5


def test_ranks_whose_warm_up_ends_at_different_steps_are_compared_by_the_step():
    """One rank's first step took 10 s; the steps that count are equal, and so is what they do."""
    found = collector([], warmup=Steps(warmup=1, warmup_seconds=1.0))
    for step in range(30):
        for rank in (0, 1):
            took = 10.0 if (rank, step) == (0, 0) else 0.1
            data = {"step": step, "step_seconds": took, "samples": 8}
            found.take_user_step(Line(rank, HOSTS[rank], data))
    full = found.modes()["full"]
    assert full["samples_per_second"] == [pytest.approx(80), pytest.approx(80)]
    assert full["job_samples_per_second"] == pytest.approx(160)
    assert full["step_seconds"]["max"] == 0.1


def test_a_users_odd_numbers_are_left_out():
    """More samples than any number holds are none."""
    found = collector([])
    found.take_user_step(Line(0, "w-0", {"step_seconds": 1.0, "samples": float("inf")}))
    assert found.ranks == 0


def test_memory_grows_by_two_numbers_a_step():
    """Not with the number of ranks: 16 bytes for each step of the job."""
    found = collector([])
    for rank in range(2):
        found.take(told(rank, [1.0] * 1000))
    mode = found._modes["full"]
    assert (len(mode.slowest), len(mode.fastest)) == (1000, 1000)


@pytest.mark.parametrize(
    ("raw", "told_rank"),
    [
        (b'{"rank": 1, "host": "a", "stream": "stdout", "text": "{\\"bench\\": \\"x\\"}"}', 1),
        (b'{"rank": 1, "host": "a", "stream": "stderr", "text": "{\\"bench\\": \\"x\\"}"}', None),
        (b'{"rank": 1, "host": "a", "stream": "stdout", "text": "[1]"}', None),
        (b'{"rank": 1, "host": "a", "stream": "stdout", "text": "hello"}', None),
        (b"\xff\xfe", None),
        (b"", None),
    ],
)
def test_only_marked_objects_are_for_the_benchmark(raw, told_rank):
    """All else is the program's own output."""
    line = parse_line(raw)
    assert (line and line.rank) == told_rank


def test_what_stands_out_is_told_with_who_was_slow():
    """By all ranks' steps of the same number; warm-up is in none of it."""
    some, every = [0.1] * 40, [0.1] * 40
    some[7], every[20] = 0.3, 0.3
    found = collector([])
    for rank, steps in ((0, [a + b - 0.1 for a, b in zip(some, every, strict=True)]), (1, every)):
        found.take(told(rank, [5.0, 5.0], warmup=True))
        found.take(told(rank, steps))
        found.take(ended(rank, sum(steps)))
    full = found.modes()["full"]
    assert full["spikes"] == {"limit_seconds": pytest.approx(0.11), "all_ranks": 1, "some_ranks": 1}
    assert full["neighbour_correlation"] == pytest.approx(-0.05, abs=0.05)


@pytest.mark.parametrize(
    ("ranks", "wanted"), [((True, True), True), ((True, False), False), ((None, None), None)]
)
def test_a_launch_has_settled_if_all_ranks_have(ranks, wanted):
    """Where nobody can tell, it is not known."""
    found = collector([])
    for rank, settled in enumerate(ranks):
        found.take(told(rank, [1.0, 1.0]))
        line = ended(rank, 2.0)
        line.data["settled"] = settled
        found.take(line)
    assert found.modes()["full"]["settled"] is wanted
