"""The end of a job, agreed by ranks: signals, the flag file, and who reads them when."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from mpijob_runtime.errors import ConfigurationError
from mpijob_runtime.training.preemption import Preemption

TWO = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}


class FakeReduction:
    """Stands in for a process group: takes the maximum with what other ranks are told to say."""

    def __init__(self, *others):
        self.others = list(others)
        self.started, self.waited, self.closed = [], 0, 0

    def start(self, values):
        """Begin a reduction."""
        self.started.append(tuple(values))
        other = self.others.pop(0) if self.others else values

        def result():
            self.waited += 1
            return [max(pair) for pair in zip(values, other, strict=True)]

        return result

    def close(self):
        """Count it."""
        self.closed += 1


def words(*, told=0, step=0, every=1):
    """Return what another rank reduces."""
    return told, step, -step, every, -every


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_signal_is_agreed_one_call_later(number):
    """The call after the signal begins the all-reduce, the next one reads it."""
    with Preemption(environ={}) as preemption:
        assert not preemption.agreed(0)
        os.kill(os.getpid(), number)
        assert not preemption.agreed(1)
        assert preemption.agreed(2)


def test_the_flag_file_is_agreed_like_a_signal(tmp_path):
    """Programs that cannot be signalled learn of it as well."""
    path = tmp_path / "preempted"
    with Preemption(environ={"MPIJOB_PREEMPTION_FILE": str(path)}) as preemption:
        assert not preemption.agreed(0)
        assert not preemption.agreed(1)
        path.touch()
        assert not preemption.agreed(2)
        assert preemption.agreed(3)


def test_a_rank_that_was_told_nothing_stops_with_the_others():
    """Another rank's word counts, at the step at which all read it."""
    reduction = FakeReduction(words(step=0), words(step=1, told=1))
    with Preemption(reduction=reduction, environ=TWO) as preemption:
        assert [preemption.agreed(step) for step in range(4)] == [False, False, True, True]

    assert len(reduction.started) == 2, "what is agreed is not asked again"


def test_a_rank_that_was_told_first_goes_on_until_all_know():
    """It must not stop at its own step: the others would wait for its gradients for ever."""
    with Preemption(environ={}, reduction=FakeReduction()) as preemption:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert [preemption.agreed(step) for step in range(2)] == [False, True]


def test_every_asks_only_at_each_so_many_calls():
    """Calls 3, 6 and 9 of 9 ask; the word is agreed at the second one after it."""
    reduction = FakeReduction()
    with Preemption(every=3, reduction=reduction, environ=TWO) as preemption:
        answers = []
        for step in range(9):
            if step == 4:
                os.kill(os.getpid(), signal.SIGUSR1)
            answers.append(preemption.agreed(step))

    assert [step for _, step, *_ in reduction.started] == [2, 5]
    assert answers == [False] * 8 + [True]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (words(step=4), "ranks are at different steps, found 3 to 4"),
        (words(step=3, every=2), "every=1 on one rank and every=2 on another"),
    ],
)
def test_ranks_that_do_not_fit_are_an_error(other, message):
    """Better than ranks that wait for each other for half an hour."""
    preemption = Preemption(reduction=FakeReduction(other), environ=TWO)
    preemption.agreed(3)

    with preemption, pytest.raises(RuntimeError, match=message):
        preemption.agreed(3 + 1)


def test_the_end_waits_for_all_and_asks_for_another_try():
    """A first end makes mpirun end others: all must have saved before."""
    reduction = FakeReduction()
    with pytest.raises(SystemExit) as ended, Preemption(reduction=reduction, environ=TWO) as here:
        here.end()

    assert ended.value.code == 75
    assert (reduction.waited, reduction.closed) == (1, 1)


def test_signals_are_given_back():
    """What handled them before does so again, and a second signal on the way is no error."""
    former = {n: signal.getsignal(n) for n in (signal.SIGUSR1, signal.SIGTERM)}
    with Preemption(environ={}) as preemption:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGUSR1)
            os.kill(os.getpid(), signal.SIGTERM)
        preemption.agreed(0)

    assert {n: signal.getsignal(n) for n in former} == former


def test_an_error_of_this_rank_waits_for_no_other():
    """The other ranks may never come to that all-reduce."""
    reduction = FakeReduction()
    preemption = Preemption(reduction=reduction, environ=TWO)
    preemption.agreed(0)
    with pytest.raises(KeyError), preemption:
        raise KeyError

    assert (reduction.waited, reduction.closed) == (0, 1)


def test_a_good_end_waits_for_what_others_have_begun():
    """The last all-reduce must not be left half done on other ranks."""
    reduction = FakeReduction()
    with Preemption(reduction=reduction, environ=TWO) as preemption:
        preemption.agreed(0)

    assert (reduction.waited, reduction.closed) == (1, 1)


def test_several_ranks_without_a_process_group_are_refused():
    """Each would stop at its own step, and the job would hang."""
    with pytest.raises(ConfigurationError, match="found 2 ranks and no process group"):
        Preemption(environ=TWO)


@pytest.mark.parametrize("every", [0, -1])
def test_every_is_at_least_one(every):
    """Never to ask is not to use it."""
    with pytest.raises(ValueError, match="every: found"):
        Preemption(every=every, environ={})


def in_a_thread(act):
    """Return what a function returns or raises in another thread."""
    found = []

    def run():
        try:
            found.append(act())
        except ConfigurationError as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


def test_a_thread_without_a_file_is_refused():
    """Signals come to the main thread only."""
    error = in_a_thread(lambda: Preemption(environ={}))

    assert "signals reach the main thread only" in str(error)


def test_a_thread_looks_for_the_file(tmp_path):
    """The file is enough."""

    def ask():
        with Preemption(environ={"MPIJOB_PREEMPTION_FILE": str(tmp_path)}) as preemption:
            return preemption.agreed(0), preemption.agreed(1)

    assert in_a_thread(ask) == (False, True)


FORK = (
    "import os, signal, sys\n"
    "from mpijob_runtime.training.preemption import Preemption\n"
    "preemption = Preemption(environ={})\n"
    "ready, tell = os.pipe()\n"
    "child = os.fork()\n"
    "if child == 0:\n"
    "    os.write(tell, b'.')\n"
    "    signal.pause()\n"
    "    os._exit(3)\n"
    "os.read(ready, 1)\n"
    "os.kill(child, signal.SIGTERM)\n"
    "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
)


def test_a_child_process_can_still_be_ended():
    """DataLoader's workers inherit the handler, and must not outlive a SIGTERM by it."""
    argv = (sys.executable, "-c", FORK)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "-15"
