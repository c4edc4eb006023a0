import io
import os
import signal

import pytest

from mpijob_runtime import worker_watch
from mpijob_runtime.console import Console
from mpijob_runtime.worker_watch import WorkerWatch


class Host:
    """A worker with a fake clock and fake processes."""

    def __init__(self, run_dir, monkeypatch, idle):
        self.now, self.run_dir = 100.0, run_dir
        self.agents, self.wrappers, self.sent = [], [], []
        self.said = io.StringIO()
        names = {"mpijob-agent": lambda: self.agents, "mpijob-rank": lambda: self.wrappers}
        fakes = {
            "attempts": lambda place: {
                pid: "1-a" for pid in self.agents + self.wrappers if place == run_dir
            },
            "named": lambda name: [*names[name](), 999],
            "programs_below": lambda pids: [pid + 1000 for pid in pids],
            "send": lambda number, pids: self.sent.append((number.name, list(pids))),
        }
        for name, fake in fakes.items():
            monkeypatch.setattr(worker_watch.processes, name, fake)
        monkeypatch.setattr(worker_watch.time, "monotonic", lambda: self.now)
        self.watch = WorkerWatch(run_dir, 20.0, idle, Console(stream=self.said))

    def at(self, seconds):
        """Let the clock go on and return whether the worker is to end."""
        self.now = 100.0 + seconds
        return self.watch.on_tick()


@pytest.fixture
def make_host(tmp_path, monkeypatch):
    """Return a function that makes a worker."""
    return lambda idle=0.0: Host(str(tmp_path), monkeypatch, idle)


def test_a_new_worker_is_not_ending(make_host, tmp_path):
    """A marker of a container that ended is not this one's."""
    (tmp_path / "ending").touch()
    host = make_host()
    assert not (tmp_path / "ending").exists()
    assert not host.at(1000)


def test_the_end_is_marked_before_anything_else(make_host, tmp_path):
    """A launcher that comes now finds a host that takes part in nothing new."""
    host = make_host()
    assert host.watch.on_signal(signal.SIGTERM) == 0.0
    assert os.listdir(tmp_path) == ["ending"]


def test_an_agent_is_told_and_sshd_stays_for_it(make_host):
    """The agent tells the launcher, and ends its ranks itself: they get nothing from here."""
    host = make_host()
    host.agents, host.wrappers = [7], [8]
    assert host.watch.on_signal(signal.SIGTERM) == 21.0
    assert host.sent == [("SIGUSR1", [7])]
    assert "got SIGTERM: its ranks have 20 s to end" in host.said.getvalue()


def test_without_an_agent_ranks_get_sigterm(make_host):
    """A job whose launcher is another version's has its grace, too."""
    host = make_host()
    host.wrappers = [8, 9]
    assert host.watch.on_signal(signal.SIGTERM) == 21.0
    assert host.sent[-1] == ("SIGTERM", [1008, 1009])


def test_sshd_ends_as_soon_as_nothing_of_a_job_is_left(make_host):
    """Not before, and without waiting for the rest of the grace."""
    host = make_host()
    host.agents = [7]
    host.watch.on_signal(signal.SIGTERM)
    assert not host.at(1.0)
    host.agents = []
    assert host.at(1.1)


def test_an_idle_worker_ends_by_itself(make_host):
    """So long after its first job's end, if no other comes."""
    host = make_host(idle=10.0)
    host.agents = [7]
    assert not host.at(5.0)
    host.agents = []
    assert not host.at(10.0)
    assert not host.at(20.0)
    assert host.at(21.1)
    assert "no job for 10 s" in host.said.getvalue()


def test_a_worker_waits_for_its_first_job_for_ever(make_host):
    """It may come late: a queue is no reason to go."""
    host = make_host(idle=10.0)
    assert not any(host.at(seconds) for seconds in range(0, 5000, 100))


def test_another_job_begins_the_wait_anew(make_host):
    """The time counts from the last job's end."""
    host = make_host(idle=10.0)
    for begin in (0.0, 18.0):
        host.agents = [7]
        assert not host.at(begin)
        host.agents = []
        assert not host.at(begin + 2)
        assert not host.at(begin + 11)
    assert host.at(31.0)


def test_without_an_idle_time_a_worker_stays(make_host):
    """The operator ends it."""
    host = make_host()
    host.agents = [7]
    host.at(1)
    host.agents = []
    assert not host.at(1e6)


def test_a_mark_that_cannot_be_made_keeps_nobody_from_ending(make_host, tmp_path):
    """A full memory disk at the moment of preemption: said, and the ranks have their grace."""
    host = make_host()
    tmp_path.rmdir()
    host.agents = [7]
    assert host.watch.on_signal(signal.SIGTERM) == 21.0
    assert host.sent == [("SIGUSR1", [7])]
    assert "ending: No such file or directory: jobs may still start here" in host.said.getvalue()
    host.agents = []
    assert host.at(1)
