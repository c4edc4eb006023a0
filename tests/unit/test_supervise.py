import json
import os
import signal
import subprocess
import sys
import time

import pytest

from mpijob_runtime.processes import descendants
from mpijob_runtime.supervise import Ending

DRIVER = """
import json, os, sys, threading
import subprocess, time
from mpijob_runtime.supervise import Companion, Pipes, Supervisor
options = json.loads(sys.argv[1])
stop_after = options.pop("stop_after", None)
delay, end_after = options.pop("delay", 0.0), options.pop("end_after", None)
told, began = [], time.monotonic()
beside = subprocess.Popen(["sleep", "300"]) if options.pop("beside", False) else None
if options.pop("stderr", None):
    reading, writing = os.pipe()
    options["pipes"] = Pipes(stderr=writing)
class Friend(Companion):
    def on_signal(self, number):
        told.append(number.name)
        return delay
    def on_tick(self):
        return end_after is not None and time.monotonic() - began > end_after
    def spared(self):
        return [beside.pid] if beside else []
abort = options.pop("abort", False)
supervisor = Supervisor(sys.argv[2:], os.environ, companion=Friend(), **options)
if abort:
    supervisor.start()
    time.sleep(0.5)
    supervisor.abort()
    print("aborted", flush=True)
    sys.exit()
if stop_after is not None:
    threading.Timer(stop_after, supervisor.stop).start()
try:
    ending = supervisor.run()
except OSError as error:
    print("OSError", error.errno)
else:
    if "pipes" in options:
        print("stderr:", os.read(reading, 4096).decode().strip(), "+", os.read(reading, 1))
    if beside:
        print("beside:", beside.poll())
        beside.kill()
    print(json.dumps({
        "returncode": ending.returncode,
        "exit_code": ending.exit_code,
        "signals": [s.name for s in ending.signals],
        "killed": ending.killed,
        "leftovers": len(ending.leftovers),
        "told": told,
    }))
"""
"""A supervisor needs a main thread of its own, and takes every orphan for one of its program's."""


class Supervised:
    """A supervisor in a process of its own, and what it says."""

    def __init__(self, *argv, grace_seconds=20.0, **options):
        options = json.dumps({"grace_seconds": grace_seconds, **options})
        self.process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, options, *argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def line(self):
        """Return the next line of output."""
        return self.process.stdout.readline().strip()

    def signal(self, *numbers):
        """Send signals to the supervisor."""
        for number in numbers:
            self.process.send_signal(number)
            time.sleep(0.05)

    def ending(self):
        """Wait for the end and return what the supervisor says of it."""
        self.output = self.process.communicate(timeout=20)[0]
        return json.loads(self.output.splitlines()[-1])


@pytest.fixture
def supervise():
    """Return a function that starts a supervisor; what is left of it is killed at the end."""
    started = []

    def start(*argv, **options):
        started.append(Supervised(*argv, **options))
        return started[-1]

    yield start
    for supervised in started:
        for pid in (*descendants(supervised.process.pid), supervised.process.pid):
            if supervised.process.poll() is None:
                os.kill(pid, signal.SIGKILL)
        supervised.process.communicate(timeout=5)


def sh(script):
    """Return the argv of a shell script."""
    return ("/bin/sh", "-c", script)


@pytest.mark.parametrize("code", [0, 1, 3, 127, 255])
def test_an_exit_code_passes_through(code, supervise):
    """The program's own code is the supervisor's."""
    found = supervise(*sh(f"exit {code}")).ending()
    assert found == {
        "returncode": code,
        "exit_code": code,
        "signals": [],
        "killed": False,
        "leftovers": 0,
        "told": [],
    }


@pytest.mark.parametrize(("name", "expected"), [("KILL", 137), ("SEGV", 139), ("TERM", 143)])
def test_a_signal_is_128_and_its_number(name, expected, supervise):
    """A program that a signal ended has the code that a shell would give."""
    found = supervise(*sh(f"kill -{name} $$")).ending()
    assert expected == found["exit_code"]
    assert not found["killed"]


@pytest.mark.parametrize(("returncode", "expected"), [(0, 0), (7, 7), (-9, 137)])
def test_an_endings_code_is_the_shells(returncode, expected):
    """Subprocess's negative numbers become 128 + n."""
    assert expected == Ending(returncode).exit_code


def test_a_program_that_does_not_exist_is_an_os_error(supervise):
    """Starting what is not there raises, and nothing is left behind."""
    assert supervise("/nowhere/program").line() == "OSError 2"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_an_ending_signal_is_forwarded_as_sigterm(number, supervise):
    """Whatever asks for the end, the program gets SIGTERM and may end by itself."""
    supervised = supervise(*sh("trap 'echo got TERM; exit 5' TERM; echo ready; sleep 20 & wait"))
    assert supervised.line() == "ready"
    supervised.signal(number)
    found = supervised.ending()
    assert "got TERM" in supervised.output
    assert (found["exit_code"], found["killed"]) == (5, False)
    assert found["signals"] == [number.name]
    assert found["told"] == [number.name]


def test_an_interrupt_is_forwarded_as_interrupt(supervise):
    """Mpirun treats Ctrl-C in its own way."""
    supervised = supervise(*sh("trap 'exit 6' INT; echo ready; while :; do sleep 0.05; done"))
    supervised.line()
    supervised.signal(signal.SIGINT)
    found = supervised.ending()
    assert (found["exit_code"], found["signals"]) == (6, ["SIGINT"])


def test_a_second_interrupt_kills_at_once(supervise):
    """Who presses Ctrl-C twice does not wait for the grace."""
    supervised = supervise(*sh("trap '' INT TERM; echo ready; while :; do sleep 0.05; done"))
    supervised.line()
    began = time.monotonic()
    supervised.signal(signal.SIGINT, signal.SIGINT)
    found = supervised.ending()
    assert (found["exit_code"], found["killed"]) == (137, True)
    assert time.monotonic() - began < 5


def test_the_grace_ends_with_sigkill(supervise):
    """A program that does not care for SIGTERM is killed when its grace is over, not before."""
    script = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
    supervised = supervise(*sh(script), grace_seconds=0.4)
    supervised.line()
    began = time.monotonic()
    supervised.signal(signal.SIGTERM)
    found = supervised.ending()
    assert (found["exit_code"], found["killed"]) == (137, True)
    assert 0.35 < time.monotonic() - began < 5


def test_a_second_sigterm_does_not_shorten_the_grace(supervise):
    """The kubelet and a user may both ask; checkpoints still get their time."""
    script = "trap 'sleep 0.4; exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    supervised = supervise(*sh(script))
    supervised.line()
    supervised.signal(signal.SIGTERM, signal.SIGTERM)
    found = supervised.ending()
    assert (found["exit_code"], found["killed"]) == (9, False)
    assert found["told"] == ["SIGTERM"]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_user_signals_are_passed_on_and_end_nothing(number, supervise):
    """SIGUSR1 and 2 belong to the program, for example to write a checkpoint."""
    name = number.name.removeprefix("SIG")
    script = f"trap 'echo got {name}; exit 0' {name}; echo ready; while :; do sleep 0.05; done"
    supervised = supervise(*sh(script))
    supervised.line()
    supervised.signal(number)
    found = supervised.ending()
    assert f"got {name}" in supervised.output
    assert (found["exit_code"], found["signals"]) == (0, [])


def test_stop_sends_sigterm_and_is_no_signal_of_ours(supervise):
    """A thread may ask for the end, as the watch over the ranks' places does."""
    script = "trap 'exit 4' TERM; while :; do sleep 0.05; done"
    found = supervise(*sh(script), stop_after=0.3).ending()
    assert (found["exit_code"], found["signals"]) == (4, [])


ORPHANS = {
    "background": "sleep 300 & echo $!",
    "double fork": "( sleep 300 & echo $! )",
    "own session": "setsid sleep 300 & echo $!",
    "own session, twice forked": "( setsid sleep 300 & echo $! )",
    "without hang-up": "nohup sleep 300 >/dev/null 2>&1 & echo $!",
    "deaf to SIGTERM": "( trap '' TERM; exec sleep 300 ) & echo $!",
}


@pytest.mark.parametrize("script", ORPHANS.values(), ids=ORPHANS.keys())
def test_nothing_outlives_the_program(script, supervise, is_alive):
    """However a process hides, it is ended when the program has ended, and the code stays."""
    supervised = supervise(*sh(f"{script}; exit 3"), leftover_seconds=0.3)
    pid = int(supervised.line())
    found = supervised.ending()
    assert not is_alive(pid)
    assert found["exit_code"] == 3
    assert found["leftovers"] >= 1


def test_children_of_leftovers_are_ended_too(supervise, is_alive):
    """Ending a shell must not set its children free."""
    script = "( setsid sh -c 'sleep 300 & echo $!; wait' & )"
    supervised = supervise(*sh(f"{script}; sleep 0.2"), leftover_seconds=0.3)
    pid = int(supervised.line())
    supervised.ending()
    assert not is_alive(pid)


def test_leftovers_have_time_to_end_by_themselves(supervise):
    """Between SIGTERM and SIGKILL a leftover may clean up."""
    script = (
        "setsid sh -c 'trap \"echo clean; exit\" TERM; echo up; while :; do sleep 0.05; done' &"
    )
    supervised = supervise(*sh(f"{script} sleep 0.3"), leftover_seconds=10.0)
    assert supervised.line() == "up"
    supervised.ending()
    assert "clean" in supervised.output


def test_ended_orphans_are_reaped_while_the_program_runs(supervise):
    """No zombies pile up under a long job."""
    script = "for i in 1 2 3 4 5; do ( true & ); done; echo $PPID; sleep 0.6"
    supervised = supervise(*sh(script))
    parent = int(supervised.line())
    time.sleep(0.4)
    with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as file:
        children = file.read().split()
    assert len(children) == 1
    assert supervised.ending()["exit_code"] == 0


def test_the_program_has_a_session_of_its_own(supervise):
    """A terminal's Ctrl-C reaches the program only by way of the supervisor."""
    supervised = supervise(*sh("ps -o sid= -p $$ 2>/dev/null || cut -d' ' -f6 /proc/$$/stat"))
    assert int(supervised.line()) != os.getsid(supervised.process.pid)
    supervised.ending()


def test_the_companion_may_keep_a_signal_back(supervise):
    """Ranks are told first: the program gets SIGTERM only after the time asked for."""
    script = "trap 'exit 4' TERM; echo ready; while :; do sleep 0.05; done"
    supervised = supervise(*sh(script), delay=0.5)
    supervised.line()
    began = time.monotonic()
    supervised.signal(signal.SIGTERM)
    found = supervised.ending()
    assert (found["exit_code"], found["told"]) == (4, ["SIGTERM"])
    assert 0.5 <= time.monotonic() - began < 5


def test_a_signal_that_is_kept_back_does_not_hold_a_program_that_ends(supervise):
    """What ends by itself meanwhile is over."""
    script = "echo ready; sleep 0.3; exit 6"
    supervised = supervise(*sh(script), delay=30.0)
    supervised.line()
    supervised.signal(signal.SIGTERM)
    found = supervised.ending()
    assert (found["exit_code"], found["killed"]) == (6, False)


def test_the_companion_may_end_the_program(supervise):
    """As stop does, which is no signal from outside."""
    script = "trap 'exit 4' TERM; while :; do sleep 0.05; done"
    found = supervise(*sh(script), end_after=0.3).ending()
    assert (found["exit_code"], found["signals"], found["told"]) == (4, [], [])


def test_an_end_that_the_companion_asks_for_comes_before_a_signal_kept_back(supervise):
    """Once the companion says that it is time, the rest of the delay is not waited for."""
    script = "trap 'exit 4' TERM; echo ready; while :; do sleep 0.05; done"
    supervised = supervise(*sh(script), delay=30.0, end_after=0.8)
    supervised.line()
    began = time.monotonic()
    supervised.signal(signal.SIGTERM)
    assert supervised.ending()["exit_code"] == 4
    assert time.monotonic() - began < 5


def test_what_the_companion_spares_is_not_ended_with_the_program(supervise):
    """The host's own agent has still to finish when mpirun is gone."""
    supervised = supervise(*sh("exit 0"), beside=True, leftover_seconds=0.3)
    assert supervised.ending()["leftovers"] == 0
    assert "beside: None" in supervised.output


def test_the_programs_stderr_is_the_pipe_that_was_given(supervise):
    """All of it comes, and then its end: nobody here keeps the other end open."""
    supervised = supervise(*sh("echo oops >&2"), stderr=True)
    supervised.ending()
    assert "stderr: oops + b''" in supervised.output


def test_an_abort_leaves_nothing(supervise, is_alive):
    """A program that was started and will not be watched is killed with all that it started."""
    supervised = supervise(*sh("trap '' TERM; setsid sleep 300 & echo $!; wait"), abort=True)
    pid = int(supervised.line())
    assert supervised.line() == "aborted"
    assert not is_alive(pid)
