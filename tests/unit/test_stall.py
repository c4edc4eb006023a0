import io

import pytest

from mpijob_runtime import stall
from mpijob_runtime.console import Console
from mpijob_runtime.stall import StallWatch


class FakeWatch:
    """Stands in for a host's agent: notes what it is told."""

    def __init__(self):
        self.told = []

    def tell(self, **command):
        """Note it."""
        self.told.append(tuple(command.values()))


class FakeOutput:
    """Stands in for the ranks' output."""

    last_seconds = 0.0


class Job:
    """Two ranks on one host under a stall watch, with a fake clock."""

    def __init__(self, settings, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(stall.time, "monotonic", lambda: self.now)
        self.watch, self.output, self.said = FakeWatch(), FakeOutput(), io.StringIO()
        self.stalls = StallWatch([self.watch], settings, self.output, Console(stream=self.said))

    def sample(self, **ranks):
        """Take a sample of cpu, step and state, as r0=(1.0, "7", "R")."""
        data = {name[1:]: list(sample) for name, sample in ranks.items()}
        self.stalls.note("w0", {"event": "progress", "ranks": data})

    def stacks(self, rank, how="py-spy", text="Process 1\n    f (x.py:1)\n"):
        """Take a rank's stacks."""
        self.stalls.note("w0", {"event": "stacks", "rank": rank, "how": how, "text": text})

    def at(self, seconds, *, ended=0, started=2):
        """Let the clock go on and return the verdict."""
        self.now = 1000.0 + seconds
        return self.stalls.check(self.now, ended=ended, started=started)


@pytest.fixture
def start(make_settings, monkeypatch):
    """Return a function that lets a job run from now on, 10 s without progress being too long."""

    def make(**flags):
        job = Job(make_settings(**{"stall_timeout_seconds": 10.0} | flags), monkeypatch)
        job.stalls.start()
        return job

    return make


IDLE, ASK = (None, False), ("stacks",)


def test_nothing_is_watched_unless_it_is_asked_for(start):
    """Without --stall-timeout no agent samples, and no job is ended."""
    job = start(stall_timeout_seconds=0.0)
    assert job.at(1e6) == IDLE
    assert job.watch.told == []


@pytest.mark.parametrize(("limit", "expected"), [(10.0, 1.0), (600.0, 5.0)])
def test_samples_come_ten_times_in_the_limit(limit, expected, start):
    """And every five seconds at least."""
    assert start(stall_timeout_seconds=limit).watch.told == [("sample", expected)]


def test_a_job_without_any_progress_is_asked_for_its_stacks(start):
    """After the limit, not before, and once."""
    job = start()
    job.sample(r0=(1.0, "", "R"), r1=(1.0, "", "R"))
    assert job.at(9.9) == IDLE
    assert ASK not in job.watch.told
    job.at(10.1)
    job.at(10.2)
    assert job.watch.told.count(ASK) == 1


def test_output_is_progress(start):
    """Where no rank writes steps, a line counts."""
    job = start()
    job.output.last_seconds = 1008.0
    job.at(17.9)
    assert ASK not in job.watch.told
    job.at(18.1)
    assert ASK in job.watch.told


@pytest.mark.parametrize(("cpu", "asked"), [(2.0, False), (1.001, True)], ids=["busy", "idle"])
def test_processor_time_is_progress(cpu, asked, start):
    """A rank that computes works; what a sleeping interpreter burns does not count."""
    job = start()
    job.sample(r0=(1.0, "", "R"))
    job.now = 1008.0
    job.sample(r0=(cpu, "", "R"))
    job.at(12.0)
    assert (ASK in job.watch.told) == asked


def test_with_steps_only_steps_count(start):
    """MPI burns processor time while it waits, and a progress bar may go on."""
    job = start()
    job.sample(r0=(1.0, "41", "R"), r1=(1.0, "", "R"))
    job.now = 1009.0
    job.output.last_seconds = 1009.0
    job.sample(r0=(99.0, "41", "R"), r1=(99.0, "", "R"))
    job.at(10.5)
    assert ASK in job.watch.told


def test_a_new_step_is_progress(start):
    """Of any rank."""
    job = start()
    job.sample(r0=(1.0, "41", "R"), r1=(1.0, "41", "R"))
    job.now = 1009.0
    job.sample(r0=(1.0, "42", "R"), r1=(1.0, "41", "R"))
    job.at(18.9)
    assert ASK not in job.watch.told


def test_a_stopped_program_is_no_progress(start):
    """Whatever the others burn meanwhile."""
    job = start()
    job.sample(r0=(1.0, "", "T"), r1=(1.0, "", "R"))
    job.now = 1009.0
    job.output.last_seconds = 1009.0
    job.sample(r0=(1.0, "", "T"), r1=(99.0, "", "R"))
    job.at(10.5)
    assert ASK in job.watch.told


def test_all_stacks_together_are_the_reason(start):
    """As soon as every rank has answered: what was found, said and returned."""
    job = start()
    job.sample(r0=(1.0, "", "R"), r1=(1.0, "", "T"))
    job.at(10.1)
    job.stacks(0)
    assert job.at(10.5) == IDLE
    job.stacks(1)
    stalled, due = job.at(10.6)
    assert "stopped by a signal (SIGSTOP): rank 1" in stalled
    assert due
    assert stalled.splitlines()[-1] in job.said.getvalue()


def test_ranks_that_do_not_answer_are_waited_for_and_named(start):
    """Fifteen seconds, then the answer is what there is."""
    job = start()
    job.sample(r0=(1.0, "", "R"), r1=(1.0, "", "R"))
    job.at(10.1)
    job.stacks(0)
    assert job.at(25.0) == IDLE
    assert "no answer from: rank 1" in job.at(25.2)[0]


def test_without_py_spy_python_is_asked_by_sigabrt(start):
    """Faulthandler answers on stderr, which has two seconds to come before the end."""
    job = start()
    job.sample(r0=(1.0, "", "R"))
    job.at(10.1)
    job.stacks(0, how="kernel", text="process 7 (python): S")
    stalled, due = job.at(10.2)
    assert stalled
    assert not due
    assert job.watch.told[-1] == ("signal", 6)
    assert not job.at(12.1)[1]
    assert job.at(12.3)[1]
    assert job.watch.told.count(("signal", 6)) == 1


def test_a_report_lets_the_job_go_on(start):
    """--stall-action report: said, nothing is signalled, and asked again after the next limit."""
    job = start(stall_action="report")
    job.sample(r0=(1.0, "", "R"))
    job.at(10.1)
    job.stacks(0, how="kernel", text="process 7 (python): S")
    assert job.at(10.2) == IDLE
    assert "the job makes no progress" in job.said.getvalue()
    assert not any(told[0] == "signal" for told in job.watch.told)
    job.at(20.1)
    assert job.watch.told.count(ASK) == 1
    job.at(20.3)
    assert job.watch.told.count(ASK) == 2


def test_a_job_whose_ranks_have_all_ended_does_not_stall(start):
    """What takes mpirun so long then is another question."""
    job = start()
    assert job.at(99, ended=2, started=2) == IDLE
    assert ASK not in job.watch.told


def test_before_the_start_nothing_stalls(make_settings, monkeypatch):
    """Waiting at the gate is not the program's fault."""
    job = Job(make_settings(stall_timeout_seconds=1.0), monkeypatch)
    assert job.at(99) == IDLE
    assert job.watch.told == []


@pytest.mark.parametrize("ranks", [None, [], {"0": 3}, {"0": [1, 2]}])
def test_damaged_samples_are_passed_over(ranks, start):
    """An agent of another version does not end the launcher."""
    job = start()
    job.stalls.note("w0", {"event": "progress", "ranks": ranks})
    job.stalls.note("w0", {"event": "stacks", "rank": 0, "how": "py-spy", "text": ""})
    assert job.at(1) == IDLE
