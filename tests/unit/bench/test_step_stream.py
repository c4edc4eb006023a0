import json
import math
import tracemalloc

import numpy as np
import pytest

from mpijob_bench.report.step_charts import _label, heat_levels
from mpijob_bench.report.step_stream import MOST_COLUMNS, MOST_STEPS, Map, Sample, read_steps


def line(**changes):
    """Return a line of steps.jsonl."""
    step = {"launch": 0, "rank": 0, "host": "w-0", "mode": "full", "step": 0, "step_seconds": 0.1}
    return json.dumps(step | changes) + "\n"


def test_a_jobs_step_is_that_of_its_slowest_rank(tmp_path):
    """Whatever the order of the lines; warm-up and other modes are left out."""
    file = tmp_path / "steps.jsonl"
    lines = [
        line(rank=rank, step=step, step_seconds=0.1 + rank) for rank in (1, 0) for step in (0, 1)
    ]
    lines += [line(step=2, warmup=True), line(step=3, mode="tiny")]
    file.write_text("".join(lines))
    assert read_steps(str(file)).by_launch()[0].tolist() == [1.1, 1.1]


def test_nodes_alone_are_a_job_each(tmp_path):
    """Nobody waits there for the slowest."""
    file = tmp_path / "steps.jsonl"
    file.write_text(line(rank=0, host="a") + line(rank=1, host="b", step_seconds=0.3))
    assert read_steps(str(file), alone={0}).by_launch()[0].tolist() == [0.1, 0.3]


@pytest.mark.parametrize(
    "wrong",
    [
        "\n",
        "{\n",
        "[]\n",
        "null\n",
        line(step_seconds=math.nan),
        line(step_seconds=-1),
        line(step=-1),
        line(rank="x"),
        line(step_seconds=math.inf),
        '{"launch":0,"rank":0,"mode":"full","step":1,"step_se',
        "x" * 200_000 + "\n",
        "\x00\xff\n",
        line(step=1e400),
        line(step=10**400),
        line(step_seconds=1e308),
    ],
)
def test_what_is_no_step_is_counted_and_left_out(tmp_path, wrong):
    """Also a line that was cut off, and one that never ends."""
    file = tmp_path / "steps.jsonl"
    file.write_text(line() + wrong, encoding="utf-8")
    found = read_steps(str(file))
    assert (found.lines, found.wrong) == (2, 1)
    assert found.by_launch()[0].tolist() == [0.1]


def test_a_sample_is_even_and_bounded():
    """A million steps: every 32nd of all, not the first ones."""
    sample = Sample()
    for step in range(1_000_000):
        sample.add(0, "", step, 1.0)
    steps = np.array([step for _, _, step in sample.seconds])
    assert MOST_STEPS / 2 <= len(steps) <= MOST_STEPS
    assert set(np.diff(np.sort(steps))) == {sample.stride}
    assert steps.max() > 999_000


def test_a_map_folds_its_columns():
    """Means stay means: here the step's own number."""
    found = Map()
    for step in range(4 * MOST_COLUMNS):
        found.add(0, "w-0", step, float(step))
    assert found.width == 4
    assert found.means()[0, :2].tolist() == [1.5, 5.5]


def test_memory_does_not_grow_with_the_file(tmp_path):
    """45,000 lines or 90,000: the same peak."""
    peaks = []
    for count in (45_000, 90_000):
        file = tmp_path / f"{count}.jsonl"
        with file.open("w") as target:
            target.writelines(line(step=step) for step in range(count))
        tracemalloc.start()
        read_steps(str(file), mapped_launch=0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


def test_levels_of_a_map_are_against_its_median():
    """1 % is the first border; what is not known has no level."""
    means = np.array([[1.0, 1.0, 1.0, 1.015, 1.5, np.nan, 0.5]])
    assert heat_levels(means).tolist() == [[0, 0, 0, 1, 6, -1, 0]]


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("train-worker-3.train.default.svc", "train-worker-3  3"),
        ("a-very-long-name-of-a-job-worker-3.x", "…ng-name-of-a-job-worker-3  3"),
        ("", "3"),
    ],
)
def test_a_row_of_a_map_is_named_so_that_hosts_differ(host, shown):
    """Domains are the same for all, and so are the beginnings of long names."""
    assert _label("3", host, named=True) == shown
