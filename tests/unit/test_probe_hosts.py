"""``plan --probe-hosts`` on this host alone, with its real agent; several: see tests/cluster."""

import json
import os
import subprocess
import sys

import pytest

from mpijob_runtime.machine import describe_machine


@pytest.fixture
def plan(local_mpi):
    """Return a function that plans in a process of its own."""

    def run(*argv, environ=None):
        command = [sys.executable, "-m", "mpijob_runtime", "plan", *argv, "--", "true"]
        return subprocess.run(
            command, env=local_mpi | (environ or {}), capture_output=True, text=True, check=False
        )

    return run


@pytest.mark.parametrize("slots", [1, 2])
def test_what_a_host_decides_is_in_the_plan(slots, plan):
    """One host needs no network; its processors are shared among its slots."""
    ended = plan("--probe-hosts", "--json", "--host", f"localhost:{slots}")
    assert ended.returncode == 0, ended.stderr
    shown = json.loads(ended.stdout)["rank_environ"]
    assert shown["OMP_NUM_THREADS"]["value"] == str(max(1, describe_machine()["cpus"] // slots))
    assert "NCCL_SOCKET_IFNAME" not in shown
    assert shown["NCCL_DEBUG"]["source"] == "default"


def test_without_being_asked_a_host_decides_nothing(plan):
    """Plan alone starts no process on any host, and says what is open."""
    ended = plan("--json", "--host", "localhost")
    shown = json.loads(ended.stdout)["rank_environ"]
    assert shown["OMP_NUM_THREADS"]["value"] is None
    assert "decided" in shown["OMP_NUM_THREADS"]["why"]


def test_people_read_it_line_by_line(plan):
    """A variable with its reason on each."""
    ended = plan("--probe-hosts", "--host", "localhost", environ={"NCCL_DEBUG": "INFO"})
    assert "# NCCL_DEBUG=INFO  user: set by the user, left alone\n" in ended.stdout


def test_a_job_that_runs_here_is_left_alone(plan, local_mpi, start_agent, start_rank):
    """Its rank lives on, its agent stays, and nothing of the question is left."""
    agent = start_agent("100-another-1")
    agent.event("hello")
    rank = start_rank("sleep", "60", environ={"OMPI_MPIJOB_ATTEMPT": "100-another-1"})
    agent.event("start")
    agent.tell(do="go")
    agent.event("running")
    ended = plan("--probe-hosts", "--host", "localhost")
    assert ended.returncode == 0, ended.stderr
    assert rank.process.poll() is None
    assert agent.process.poll() is None
    sockets = [n for n in os.listdir(local_mpi["MPIJOB_RUN_DIR"]) if n.startswith("agent-")]
    assert sockets == ["agent-100-another-1"]


def test_a_host_that_does_not_come_is_no_traceback(plan):
    """69 after the deadline, with the host's name."""
    ended = plan("--probe-hosts", "--timeout", "0.5", "--host", "nosuch.invalid")
    assert ended.returncode in (69, 78)
    assert "Traceback" not in ended.stderr
