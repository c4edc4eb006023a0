import io

import pytest

from mpijob_runtime import preemption
from mpijob_runtime.agent.grace import term_seconds
from mpijob_runtime.console import Console
from mpijob_runtime.preemption import Preemption


class FakeWatch:
    """Stands in for a host's agent: notes what it is told."""

    def __init__(self, told, *, lost=False):
        self.told = told
        self.lost = lost

    def tell(self, **command):
        """Note it."""
        self.told.append((command.pop("do"), *command.values()))


class End:
    """A preemption with a fake clock and fake agents."""

    def __init__(self, monkeypatch, *, hosts, grace, lost=0):
        self.now = 1000.0
        monkeypatch.setattr(preemption.time, "monotonic", lambda: self.now)
        self.told, self.said = [], io.StringIO()
        watches = [FakeWatch(self.told, lost=number < lost) for number in range(hosts)]
        self.preemption = Preemption(watches, grace, Console(stream=self.said))

    def at(self, seconds):
        """Let the clock go on; return what is told, and whether it is mpirun's turn."""
        self.now = 1000.0 + seconds
        before = len(self.told)
        due = self.preemption.act(self.now)
        return self.told[before:], due

    def warned(self, host, *ranks):
        """Take an agent's answer."""
        self.preemption.note_warned(host, {"event": "warned", "ranks": list(ranks)})


@pytest.fixture
def begin(monkeypatch):
    """Return a function that begins the end of a job of two hosts."""

    def make(*, hosts=2, grace=20.0, lost=0):
        end = End(monkeypatch, hosts=hosts, grace=grace, lost=lost)
        end.preemption.start()
        return end

    return make


def test_the_first_word_is_a_warning_to_every_host(begin):
    """Nobody gets SIGTERM before it is known who handles SIGUSR1."""
    end = begin()
    assert end.told == [("warn",), ("warn",)]
    assert end.at(0.1) == ([], False)


def test_starting_twice_is_starting_once(begin):
    """A second SIGTERM does not warn again or begin a new grace."""
    end = begin()
    end.now += 5
    end.preemption.start()
    assert len(end.told) == 2
    assert end.preemption.started


def test_nothing_happens_before_the_start(monkeypatch):
    """Time alone ends no job."""
    end = End(monkeypatch, hosts=2, grace=0.0)
    assert end.at(1000) == ([], False)
    assert not end.preemption.started


def test_without_handlers_sigterm_follows_at_once(begin):
    """As soon as every host has answered that it warned nobody."""
    end = begin()
    end.warned("w0")
    assert end.at(0.2) == ([], False)
    end.warned("w1")
    assert end.at(0.3) == ([("signal", 15), ("signal", 15)], False)
    assert end.at(0.4) == ([], False)


def test_a_host_that_does_not_answer_is_waited_for_two_seconds(begin):
    """A silent agent must not cost the others their SIGTERM."""
    end = begin()
    end.warned("w0")
    assert end.at(1.9) == ([], False)
    assert end.at(2.0)[0] == [("signal", 15)] * 2


def test_a_lost_host_is_not_waited_for(begin):
    """It cannot answer."""
    end = begin(lost=1)
    end.warned("w1")
    assert end.at(0.1)[0] == [("signal", 15)] * 2


def test_handlers_have_the_grace_but_for_sigterms_share(begin):
    """20 s: SIGUSR1 has 15 of them, SIGTERM the last 5, then SIGKILL; then it is mpirun's turn."""
    end = begin()
    end.warned("w0", 0)
    end.warned("w1")
    assert end.at(14.9) == ([], False)
    assert end.at(15.0)[0] == [("signal", 15)] * 2
    assert end.at(19.9) == ([], False)
    assert end.at(20.0)[0] == [("kill",)] * 2
    assert "killing the ranks that are left" in end.said.getvalue()
    assert end.at(24.9) == ([], False)
    assert end.at(25.0) == ([], True)


def test_once_all_handlers_have_ended_the_rest_gets_sigterm(begin):
    """Who has saved does not make the others wait, who have no handler."""
    end = begin()
    end.warned("w0", 0, 1)
    end.warned("w1")
    end.preemption.note_ended(0)
    assert end.at(3.0) == ([], False)
    end.preemption.note_ended(1)
    assert end.at(3.1)[0] == [("signal", 15)] * 2


def test_a_handler_that_comes_late_has_its_time(begin):
    """An agent's second word about a rank counts as long as SIGTERM is not out."""
    end = begin()
    end.warned("w0")
    end.warned("w1")
    end.warned("w1", 3)
    assert end.at(0.3) == ([], False)


def test_all_ended_releases_the_wrappers_and_mpirun_may_leave_by_itself(begin):
    """Mpirun is not told before it has had five seconds."""
    end = begin()
    end.at(3.0)
    end.preemption.note_all_ended()
    assert end.told[-2:] == [("release",), ("release",)]
    end.preemption.note_all_ended()
    assert end.told.count(("release",)) == 2
    assert not end.at(7.9)[1]
    assert end.at(8.0)[1]


def test_all_ended_without_an_end_of_ours_is_no_release(monkeypatch):
    """A job that ends by itself holds no wrapper."""
    end = End(monkeypatch, hosts=1, grace=20.0)
    end.preemption.note_all_ended()
    assert end.told == []


def test_no_grace_is_sigterm_and_sigkill_at_once(begin):
    """--grace 0."""
    end = begin(hosts=1, grace=0.0)
    assert end.at(0.0)[0] == [("signal", 15), ("kill",)]


@pytest.mark.parametrize("ranks", [None, "0", {"0": 1}])
def test_a_damaged_answer_is_an_answer(ranks, begin):
    """It names nobody."""
    end = begin(hosts=1)
    end.preemption.note_warned("w0", {"ranks": ranks})
    assert end.at(0.1)[0] == [("signal", 15)]


@pytest.mark.parametrize(("grace", "expected"), [(20.0, 5.0), (100.0, 5.0), (4.0, 1.0), (0.0, 0.0)])
def test_sigterms_share_of_the_grace(grace, expected):
    """A quarter, five seconds at most."""
    assert term_seconds(grace) == expected
