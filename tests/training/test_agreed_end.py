"""Ranks that agree on their last step, over a real Gloo group."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

torch = pytest.importorskip("torch", reason="torch is in the torch images only")

from mpijob_runtime.training import Metrics  # noqa: E402 - after the skip

pytestmark = pytest.mark.skipif(not shutil.which("mpijob-runtime"), reason="in an image only")

SECONDS = 240
PROGRAM = """
import os, signal, sys, time
from mpijob_runtime.training import Preemption, init_process_group, world
here, how = world(), sys.argv[1]
with init_process_group(), Preemption() as preemption:
    for step in range(10**6):
        if how == "one is told" and step == 5 + here.rank and here.rank == 2:
            os.kill(os.getpid(), signal.SIGUSR1)
        if how == "late" and step == 5 and here.rank == 2:
            continue
        if step == 3:
            print("works", flush=True)
        time.sleep(0.01)
        if preemption.agreed(step):
            if here.rank == 0:
                time.sleep(1.5)
            print(f"saved at {step}", flush=True)
            preemption.end()
"""


@pytest.fixture
def launch(tmp_path):
    """Return a function that starts the program on four ranks."""
    started = []

    def start(how):
        script = tmp_path / "program.py"
        script.write_text(PROGRAM)
        report = ("--report", str(tmp_path / "report.json"))
        argv = ("mpijob-runtime", "launch", "--host", "localhost:4", *report)
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen(
                (*argv, "--", sys.executable, str(script), how),
                stdout=log,
                stderr=subprocess.STDOUT,
                env={name: os.environ[name] for name in ("PATH", "HOME")},
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def end(tmp_path):
    """Return a function that waits for a job's end: its code, its outcome and its lines."""

    def wait(process):
        code = process.wait(SECONDS)
        report = json.loads((tmp_path / "report.json").read_text())
        return code, report["outcome"], (tmp_path / "log").read_text().splitlines()

    return wait


def saved(lines):
    """Return at which step each rank has saved."""
    return [line.rpartition(" ")[2] for line in lines if "saved at" in line]


def test_all_ranks_stop_at_one_step_if_one_was_told(launch, end):
    """Rank 2's signal at step 7 is read by all at step 8, and none ends while rank 0 saves."""
    code, outcome, lines = end(launch("one is told"))

    assert saved(lines) == ["8"] * 4, lines
    assert (code, outcome) == (75, "failed"), "nobody told the launcher, and 75 is worth a retry"


def test_a_launcher_that_was_told_ends_the_job_as_preempted(launch, end, tmp_path):
    """SIGTERM to the launcher: all ranks save at the same step, whichever it is."""
    process = launch("none is told")
    deadline = time.monotonic() + SECONDS
    while (tmp_path / "log").read_text().count("works") < 4:
        assert time.monotonic() < deadline, (tmp_path / "log").read_text()
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    code, outcome, lines = end(process)

    assert len(saved(lines)) == 4, lines
    assert len(set(saved(lines))) == 1, lines
    assert (code, outcome) == (75, "preempted")


def test_ranks_at_different_steps_are_an_error_with_both(launch, end):
    """A rank that leaves out a step would save other weights than the rest."""
    code, outcome, lines = end(launch("late"))

    assert (code, outcome) == (1, "failed")
    assert any("ranks are at different steps, found 5 to 6" in line for line in lines), lines


def test_a_loss_that_is_a_tensor_keeps_no_graph(tmp_path):
    """Steps in memory would else keep all activations."""
    weight = torch.ones(3, requires_grad=True)
    with Metrics(directory=str(tmp_path), flush_seconds=3600, environ={}) as metrics:
        for step in range(3):
            metrics.step(step, samples=1, loss=(weight * step).sum())
        assert not any(kept.requires_grad for *_, kept in metrics._pending)

    lines = (tmp_path / "metrics-rank-0.jsonl").read_text().splitlines()
    assert [json.loads(line)["loss"] for line in lines] == [0.0, 3.0, 6.0]
