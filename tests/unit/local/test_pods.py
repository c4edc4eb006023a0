"""When a worker that failed runs again, and when it has failed for good."""

import io
from types import SimpleNamespace

import pytest
from fakes import FakePodman
from manifests import WORKER, job
from rich.console import Console

from mpijob_local.layout import lay_out
from mpijob_local.node import Exit
from mpijob_local.operators import OPERATORS
from mpijob_local.output import LogPrinter, Reporter
from mpijob_local.pods import RunningPods

FAILED = Exit(78)


@pytest.fixture
def make_pods():
    """Return a builder of pods on a node that runs nothing."""

    def build(attempts):
        reporter = Reporter(Console(file=io.StringIO()))
        node = SimpleNamespace(engine=FakePodman())
        return RunningPods(
            node, reporter, LogPrinter(1, coloured=False), 0.0, worker_attempts=attempts
        )

    return build


def worker(policy):
    """Return a worker as Trainer lays it out, with a restart policy."""
    changed = job((f"{WORKER}.restartPolicy", policy))
    return lay_out(changed, operator=OPERATORS["trainer"]).workers[0]


def test_a_worker_that_never_restarts_has_failed_at_once(make_pods):
    """RestartPolicy Never: the first failure is the last."""
    pods, pod = make_pods(6), worker("Never")
    assert pods.failed_worker() is None

    pods._worker_failed(pod, FAILED)

    assert pods.failed_worker() == (pod, FAILED)


def test_a_jobs_worker_restarts_up_to_its_limit(make_pods):
    """OnFailure under a Job: the last of the attempts is final."""
    pods, pod = make_pods(2), worker("OnFailure")

    pods._worker_failed(pod, FAILED)
    assert pods.failed_worker() is None
    pods._worker_failed(pod, FAILED)

    assert pods.failed_worker() == (pod, FAILED)


def test_a_bare_pods_worker_restarts_for_ever(make_pods):
    """Mpi-operator's workers are no Jobs: the kubelet knows no limit."""
    pods, pod = make_pods(None), worker("OnFailure")

    for _ in range(50):
        pods._worker_failed(pod, FAILED)

    assert pods.failed_worker() is None


def test_a_worker_that_was_removed_does_not_come_back(make_pods):
    """Who removes a container by hand has ended that worker."""
    pods, pod = make_pods(None), worker("OnFailure")
    gone = Exit(137, gone=True)

    pods._worker_failed(pod, gone)

    assert pods.failed_worker() == (pod, gone)
