import os
import subprocess
import threading

import pytest

from mpijob_runtime.agent.fence import fence


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a process of an attempt."""
    started = []

    def run(attempt, run_dir=tmp_path, script="echo up; read forever"):
        environ = {"PATH": os.environ["PATH"], "OMPI_MPIJOB_ATTEMPT": attempt}
        environ["MPIJOB_RUN_DIR"] = str(run_dir)
        process = subprocess.Popen(
            ["/bin/sh", "-c", script],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        process.stdout.readline()
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@pytest.fixture
def run_fence(tmp_path):
    """Return a function that fences for the attempt 200-me-x."""

    def run(*keep, within_seconds=2.0):
        return fence("200-me-x", keep, run_dir=str(tmp_path), within_seconds=within_seconds)

    return run


@pytest.mark.parametrize("attempt", ["100-me-a", "100-you-a"], ids=["own", "another launcher's"])
def test_what_an_older_attempt_left_is_ended(attempt, start, run_fence):
    """Ours from an earlier start or a former launcher's: nothing of it is left."""
    processes = [start(attempt), start(attempt)]
    assert run_fence() == (2, None)
    assert all(process.wait(5) for process in processes)


def test_what_does_not_end_is_killed(start, run_fence):
    """A rank that ignores SIGTERM does not hold the new attempt for ever."""
    process = start("100-you-a", script="trap '' TERM; echo up; while :; do sleep 0.05; done")
    assert run_fence(within_seconds=0.2)[1] is None
    assert process.wait(5) == -9


@pytest.mark.parametrize("attempt", ["100-me-a", "300-me-a"], ids=["older", "newer"])
def test_other_jobs_of_this_very_launcher_are_kept(attempt, start, run_fence):
    """Two jobs that one launcher runs at a time do not end each other."""
    process = start(attempt)
    assert run_fence(attempt) == (0, None)
    assert process.poll() is None


def test_a_newer_job_of_this_launcher_that_we_do_not_know_yet_is_kept(start, run_fence):
    """It began after we had asked who is there."""
    process = start("300-me-b")
    assert run_fence() == (0, None)
    assert process.poll() is None


def test_a_newer_job_that_comes_while_we_fence_is_kept(start, run_fence):
    """As long as something older still ends, we look again and again."""
    slow = start("100-me-a", script="trap '' TERM; echo up; read forever")
    late = []
    timer = threading.Timer(0.3, lambda: late.append(start("300-me-b")))
    timer.start()
    assert run_fence(within_seconds=1.0) == (1, None)
    timer.join()
    assert slow.wait(5) == -9
    assert late[0].poll() is None


def test_an_agent_that_is_about_to_end_is_no_news(start, run_fence):
    """The job before ours has finished; its agent has not gone yet."""
    agent = start("100-me-a", script="printf mpijob-agent > /proc/$$/comm; echo up; read forever")
    assert run_fence() == (0, None)
    assert agent.wait(5)


def test_a_newer_attempt_of_another_launcher_makes_us_the_leftover(start, run_fence):
    """Nothing is touched, the newest is named."""
    older, newer, newest = start("100-you-a"), start("300-you-a"), start("400-you-b")
    assert run_fence() == (0, "400-you-b")
    assert [p.poll() for p in (older, newer, newest)] == [None, None, None]


def test_our_own_processes_and_other_peoples_jobs_are_left_alone(start, run_fence, tmp_path):
    """Another run directory is another job's, which may be on the same machine."""
    mine, theirs = start("200-me-x"), start("100-you-a", run_dir=tmp_path / "other")
    assert run_fence() == (0, None)
    assert (mine.poll(), theirs.poll()) == (None, None)
