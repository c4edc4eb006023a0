"""What hosts and programs may send that no agent or wrapper of ours does; see ``make fuzz``."""

import io
import os
import socket

import pytest

from mpijob_runtime import frames
from mpijob_runtime.agent.wrapper import Wrapper, _parse_message
from mpijob_runtime.console import Console
from mpijob_runtime.frame_reader import FrameReader
from mpijob_runtime.frames import FrameError
from mpijob_runtime.output import RankOutput
from mpijob_runtime.preemption import Preemption
from mpijob_runtime.settings import Settings
from mpijob_runtime.stall import StallWatch
from mpijob_runtime.watch import HostWatch


@pytest.mark.parametrize(
    "text",
    [
        "",
        "start",
        "start\0time=1",
        "start\0time=1\0rank=x",
        "start\0time=1\0rank=" + "9" * 40,
        "running\0time=1",
        "running\0time=inf\0pid=7",
        "exit\0time=nan",
        "exit\0time=-1",
        "hello\0time=1",
    ],
)
def test_what_is_no_message_of_a_wrapper_is_refused(text):
    """The agent of all ranks of a host must not end of it."""
    with pytest.raises(ValueError, match=r"."):
        _parse_message(text)


def test_fields_that_nobody_knows_are_left_out():
    """They would collide with what the agent itself says."""
    _, fields = _parse_message("exit\0time=1.5\0event=x\0self=y\0exit_code=3\0more=z")
    assert fields == {"time": 1.5, "exit_code": 3}


def test_a_connection_that_talks_nonsense_has_ended():
    """As for a wrapper that is gone; descriptors that came with it are closed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reading, writing = os.pipe()
    socket.send_fds(theirs, [b"start\0rank=x"], [writing])
    os.close(writing)
    wrapper = Wrapper(ours)
    assert wrapper.receive() == (None, [])
    assert os.read(reading, 1) == b""
    wrapper.close()
    theirs.close()
    os.close(reading)


@pytest.mark.parametrize("header", [b"O 0 0 1\nx", b"E 0 1 2\n{}"])
def test_output_has_a_stream_and_an_event_has_none(header):
    """Stream 0 of a rank would be no stream that anything can be written to."""
    with pytest.raises(FrameError):
        list(FrameReader().feed(frames.GREETING + header))


class Stream:
    """A host's agent that has said all it says."""

    def __init__(self, data):
        self._pieces = [data]

    def read(self, *, timeout_seconds=None):
        """Return what is left; at last nothing."""
        return self._pieces.pop() if self._pieces else b""


def test_a_host_whose_event_is_no_json_is_lost(tmp_path):
    """It ends the host's part, without a traceback from its thread."""
    watch = HostWatch("w0", Stream(frames.GREETING + b"E 0 0 3\n{x}"), None)
    watch._take(lambda *_: pytest.fail("no event"), lambda *_: pytest.fail("no output"))


@pytest.mark.parametrize(
    "ranks",
    [
        {"x": [1.0, "1", "R"]},
        {"0": ["x", "1", "R"]},
        {"0": [float("inf"), "1", "R"]},
        {"0": [10**400, "1", "R"]},
        {"0": [1.0, "1"]},
        {"9" * 5000: [1.0, "1", "R"]},
        [[1]],
        None,
    ],
)
def test_odd_samples_are_left_out(ranks):
    """Before the ranks run and in any form."""
    settings = Settings.from_environ({"MPIJOB_STALL_TIMEOUT": "60"})
    console = Console(stream=io.StringIO())
    stalls = StallWatch([], settings, RankOutput("plain", None), console)
    stalls.note("w0", {"event": "progress", "ranks": ranks})
    assert stalls._ranks == {}
    Preemption([], 20.0, console).note_warned("w0", {"event": "warned", "ranks": ranks})
