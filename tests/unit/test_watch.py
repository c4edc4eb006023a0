import signal
import subprocess
import threading
import time

import pytest

from mpijob_runtime import frames
from mpijob_runtime.probes.ssh import HostRefusal
from mpijob_runtime.watch import HostWatch, LocalStream, finish

HELLO = {"attempt": "1-a", "keep": "", "grace_seconds": 1.0}


class FakeStream:
    """Stands in for an agent: gives pieces, then its end; an exception is raised."""

    def __init__(self, *pieces, errors=""):
        self.pieces, self.said = list(pieces), errors
        self.written = b""
        self.closed = False

    def read(self, *, timeout_seconds=None):
        """Return the next piece."""
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, Exception):
            raise piece
        return piece

    def write(self, data):
        """Note it."""
        if self.closed:
            raise OSError(32, "gone")
        self.written += data

    def errors(self):
        """Return stderr."""
        return self.said

    def close(self):
        """Note it."""
        self.closed = True


def greeting(**hello):
    """Return what an agent sends first."""
    return frames.GREETING + frames.format_event({"event": "hello", **hello})


def greet(*pieces, errors=""):
    """Return a watch that has greeted a fake agent."""
    watch = HostWatch("w0", FakeStream(*pieces, errors=errors), None)
    watch.greet(HELLO, timeout_seconds=5.0)
    return watch


def test_the_hello_is_kept():
    """After whatever a login shell has said."""
    watch = greet(b"Welcome!\n", greeting(boot_id="b")[:20], greeting(boot_id="b")[20:])
    assert watch.hello == {"event": "hello", "boot_id": "b"}
    told = frames.parse_command(watch.stream.written)
    assert told == {"attempt": "1-a", "keep": "", "grace_seconds": "1.0"}


def test_the_clock_is_known_between_two_bounds():
    """What the host said it heard and answered, between our question and its answer."""
    watch = greet(greeting(clock=[time.time() + 5, time.time() + 5]))
    assert watch.clock.least_seconds <= watch.clock.most_seconds
    assert watch.clock.middle_seconds == pytest.approx(5, abs=0.5)
    assert greet(greeting(boot_id="b")).clock is None


@pytest.mark.parametrize(
    ("pieces", "errors", "words"),
    [
        ((), "sh: 1: exec: agent: not found\n", "sh: 1: exec: agent: not found"),
        ((b"motd\nno such file\n",), "", "no such file"),
        ((), "", "no output"),
    ],
)
def test_a_host_without_our_agent_is_refused_for_good(pieces, errors, words):
    """Waiting does not install it; the last line that was said is the reason."""
    with pytest.raises(HostRefusal, match="no agent of mpijob-runtime runs there") as caught:
        greet(*pieces, errors=errors)
    assert caught.value.lasting
    assert words in caught.value.reason


@pytest.mark.parametrize(
    ("piece", "words"),
    [
        (greeting(refused="this pod is about to end"), "about to end"),
        (TimeoutError(), "no word of the host's agent within 5 s"),
        (OSError(104, "reset"), "reset"),
        (frames.GREETING + b"nonsense" * 9, "not a frame"),
    ],
    ids=["refused", "silent", "broken", "nonsense"],
)
def test_what_may_pass_is_tried_again(piece, words):
    """Another pod may answer under the name, or the old attempt may end."""
    with pytest.raises(HostRefusal) as caught:
        greet(piece)
    assert words in caught.value.reason
    assert not caught.value.lasting


class Followed:
    """A watch that is followed to its end, and what came."""

    def __init__(self, *pieces):
        self.watch = greet(greeting(), *pieces)
        self.events, self.output, self.lost = [], [], []
        self.watch.follow(
            lambda host, event: self.events.append((host, event["event"])),
            lambda *piece: self.output.append(piece),
            self.lost.append,
        )
        self.in_time = self.watch.wait_finished(silent_seconds=5)


def test_events_and_output_come_in_order_to_the_end():
    """What came together with the hello is not lost."""
    start = frames.format_event({"event": "start"})
    rest = frames.format_output(3, 2, b"x\n") + frames.format_event({"event": "finished"})
    followed = Followed(start + rest)
    assert followed.events == [("w0", "start"), ("w0", "finished")]
    assert followed.output == [(3, "w0", 2, b"x\n")]
    assert followed.in_time
    assert not followed.lost
    assert not followed.watch.lost


@pytest.mark.parametrize(
    "last", [b"", OSError(104, "reset"), b"nonsense" * 9], ids=["end", "broken", "nonsense"]
)
def test_an_agent_that_ends_too_early_is_lost(last):
    """However its connection ends; told once."""
    followed = Followed(frames.format_event({"event": "start"}), last)
    assert followed.lost == ["w0"]
    assert followed.watch.lost
    assert followed.in_time


def test_a_lost_agent_can_be_told_anything():
    """Its end is noticed where it is read."""
    watch = greet(greeting())
    watch.stream.closed = True
    watch.tell(do="go")


def test_finish_names_the_lost_and_the_silent(monkeypatch):
    """All are asked at one time; who does not answer is not waited for for ever."""
    monkeypatch.setattr("mpijob_runtime.watch._FINISH_SECONDS", 0.2)
    silent = greet(greeting())
    watches = [
        Followed(frames.format_event({"event": "finished"})).watch,
        Followed(b"").watch,
        silent,
    ]
    for name, watch in zip(("good", "lost", "silent"), watches, strict=True):
        watch.host = name
    began = time.monotonic()
    assert finish(watches) == ["lost", "silent"]
    assert time.monotonic() - began < 3
    assert b"do=finish\n" in silent.stream.written


def test_an_agent_that_still_talks_is_waited_for(monkeypatch):
    """What is left of the output may take long; only silence is a reason to go."""
    monkeypatch.setattr("mpijob_runtime.watch._FINISH_SECONDS", 0.3)

    class Talking(FakeStream):
        def read(self, *, timeout_seconds=None):
            time.sleep(0.1)
            return super().read()

    watch = HostWatch("w0", FakeStream(greeting()), None)
    watch.greet(HELLO, timeout_seconds=5)
    pieces = [frames.format_output(0, 1, b"x\n")] * 8
    watch.stream = Talking(*pieces, frames.format_event({"event": "finished"}))
    watch.follow(lambda *_: None, lambda *_: None, lambda *_: None)
    assert finish([watch]) == []


def test_the_launchers_own_agent_is_a_child(bare_environ):
    """The real one: it greets, finishes, and leaves no process or thread."""
    run_dir = bare_environ["MPIJOB_RUN_DIR"]
    watch = HostWatch("here", LocalStream("1-a", run_dir, bare_environ), None)
    watch.greet(HELLO, timeout_seconds=10)
    assert watch.hello["ended"] == 0
    watch.follow(lambda *_: None, lambda *_: None, lambda *_: None)
    assert finish([watch]) == []
    watch.close()
    assert watch.stream.process.returncode == 0
    assert not any(thread.name == "watch-here" for thread in threading.enumerate())


@pytest.fixture
def own_agent(bare_environ, monkeypatch):
    """Return a watch of the launcher's own agent, which is stopped before it says a word."""
    for name in ("_TAKE_SECONDS", "_CLOSE_SECONDS"):
        monkeypatch.setattr(f"mpijob_runtime.watch.{name}", 0.3)
    stream = LocalStream("1-a", bare_environ["MPIJOB_RUN_DIR"], bare_environ)
    stream.process.send_signal(signal.SIGSTOP)
    watch = HostWatch("here", stream, None)
    yield watch
    watch.close()


def test_an_own_agent_that_says_nothing_is_no_endless_wait(own_agent):
    """As a host's agent is given up."""
    with pytest.raises(HostRefusal, match="no word of the host's agent") as caught:
        own_agent.greet(HELLO, timeout_seconds=0.3)
    assert not caught.value.lasting
    own_agent.close()
    assert own_agent.stream.process.returncode == -signal.SIGKILL


def test_an_own_agent_that_takes_nothing_does_not_hold_the_launcher(own_agent):
    """The pipe is full: said to nobody, and at once from then on."""
    began = time.monotonic()
    for _ in range(20):
        own_agent.tell(do="go", much="x" * 100_000)
    assert time.monotonic() - began < 2
    own_agent.close()


def test_what_an_own_agent_that_hangs_has_not_ended_is_ended(own_agent, bare_environ):
    """Nothing of the attempt is left, although nobody was there to end it."""
    environ = bare_environ | {"OMPI_MPIJOB_ATTEMPT": "1-a"}
    with subprocess.Popen(["sleep", "60"], env=environ) as left:
        own_agent.close()
        assert left.wait(5) == -signal.SIGTERM


def test_an_own_agent_that_was_killed_is_worth_another_try(own_agent):
    """It is there: the kernel's lack of memory, or somebody, has ended it."""
    own_agent.stream.process.kill()
    with pytest.raises(HostRefusal, match="ended by SIGKILL") as caught:
        own_agent.greet(HELLO, timeout_seconds=5)
    assert not caught.value.lasting
