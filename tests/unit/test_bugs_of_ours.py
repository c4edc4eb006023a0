"""Bugs of ours in each part of a launcher, made on purpose in a real one."""

import json
import subprocess
import sys
import time

import pytest

BUG = """
import importlib, os, sys
from mpijob_runtime import early

def bug(*words, **named):
    if os.path.exists(after):
        raise RuntimeError("made on purpose")
    return right(*words, **named)

after = sys.argv.pop(1)
module, _, path = sys.argv.pop(1).partition(":")
place = importlib.import_module(f"mpijob_runtime.{module}")
*parents, name = path.split(".")
for parent in parents:
    place = getattr(place, parent)
right = getattr(place, name)
setattr(place, name, bug)
early.run("mpijob_runtime.cli", "main", early.NOWHERE)
"""

SLEEPS = """
echo $$ > {place}/pid.$RANK
echo up
[ $RANK = 0 ] || exec sleep 30
until [ -e {place}/pid.1 ]; do sleep 0.05; done
"""
"""Rank 0 ends well once rank 1 is there, which has still to be ended."""


@pytest.fixture
def launch(local_mpi, tmp_path):
    """Return a function that runs a launcher with a bug: code, report, stderr, seconds.

    The bug shows once a file is there.
    """

    def call(bug, *, script=SLEEPS, after="/"):
        argv = ("launch", "--report", "report.json", "--grace", "2", "--host", "localhost:2", "--")
        program = ("sh", "-c", script.format(place=tmp_path))
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", BUG, after, bug, *argv, *program],
            env=local_mpi,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
        )
        assert (tmp_path / "report.json").exists(), done.stderr
        report = json.loads((tmp_path / "report.json").read_text())
        return done.returncode, report, done.stderr, time.monotonic() - began

    return call


@pytest.mark.parametrize(
    "place",
    [
        "preemption:Preemption.note_ended",
        "output:RankOutput.write",
        "stall:StallWatch.check",
        "supervise:reap_orphans",
    ],
    ids=["an event", "output", "every tick", "the supervisor"],
)
def test_a_bug_while_ranks_run_is_70_with_what_was_seen(place, launch, tmp_path, is_alive):
    """Neither 'not started' nor 'lost host': which ranks ran is told, and all are ended."""
    (tmp_path / "termination-log").touch()
    code, report, errors, seconds = launch(place, after=str(tmp_path / "pid.1"))
    assert code == 70, errors
    assert (report["outcome"], report["exit_code"]) == ("failed", 70)
    assert "a bug of ours: RuntimeError: made on purpose" in report["reason"]
    assert "please report it" in errors
    assert "lost" not in errors
    assert seconds < 20
    pids = [int(path.read_text()) for path in tmp_path.glob("pid.*")]
    assert not any(map(is_alive, pids))
    assert report["ranks_started"] == 2, errors
    assert report["hosts"] == [{"name": "localhost", "ranks": [0, 1]}]
    assert "2 of 2 ranks started on 1 host" in (tmp_path / "termination-log").read_text()


@pytest.mark.parametrize(
    "place",
    ["gate:Gate.let_through", "gate:Gate.begin", "spread:Placement.add", "gate:gate_words"],
)
def test_a_bug_at_the_gate_lets_no_program_run(place, launch, tmp_path):
    """70, named as a bug, and soon."""
    code, report, errors, seconds = launch(place)
    assert code == 70, errors
    assert (report["outcome"], report["exit_code"]) == ("failed", 70)
    assert "a bug of ours" in report["reason"]
    assert "lost" not in errors
    assert not list(tmp_path.glob("pid.*"))
    assert seconds < 20


@pytest.mark.parametrize("place", ["run:diagnose", "output:RankOutput.close"])
def test_a_bug_after_the_end_is_70_with_what_was_seen(place, launch):
    """All ranks had ended; that they ran is not denied."""
    code, report, errors, _ = launch(place, script="exit 3")
    assert code == 70, errors
    assert (report["outcome"], report["ranks_started"]) == ("failed", 2)
    assert report["hosts"] == [{"name": "localhost", "ranks": [0, 1]}]
    assert "a bug of ours" in report["reason"]


@pytest.mark.parametrize("place", ["watch:parse_object", "watch:HostWatch._take"])
def test_a_bug_in_what_reads_an_agent_is_no_lost_host(place, launch):
    """A thread that dies of a bug says so."""
    code, report, errors, _ = launch(place)
    assert code == 70, errors
    assert "a bug of ours" in report["reason"]
    assert "lost" not in errors


@pytest.mark.parametrize("place", ["report:format_outcome", "outcome:_host_lines"])
def test_a_bug_in_the_words_costs_no_outcome(place, launch):
    """The report is whole, and the job's code its own."""
    code, report, errors, _ = launch(place, script="exit 3")
    assert code == 3
    assert (report["outcome"], report["ranks_started"]) == ("failed", 2)
    assert "made on purpose" in errors


def test_a_bug_before_the_start_is_not_started(launch):
    """No rank was there to be seen."""
    code, report, _, _ = launch("launch:probe_container")
    assert (code, report["outcome"], report["ranks_started"]) == (70, "not_started", 0)
    assert "a bug of ours: RuntimeError" in report["reason"]


def test_a_full_disk_before_the_start_is_no_bug(launch, monkeypatch):
    """78 with the file's name: a private directory that has no room."""
    full = BUG.replace('RuntimeError("made on purpose")', 'OSError(28, "No space left", "/x")')
    monkeypatch.setattr(f"{__name__}.BUG", full)
    code, report, _, _ = launch("launch:write_files")
    assert (code, report["outcome"]) == (78, "not_started")
    assert report["reason"] == "/x: cannot write: No space left"
