import errno
import os
import select
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpijob_runtime.agent.streams import Outgoing, RankStream

KIB = 1024


class Stream:
    """A rank's stream whose writing end a test holds."""

    def __init__(self, reading, writing):
        os.set_blocking(reading, False)
        self.reading, self.writing = reading, writing
        self.stream = RankStream(3, 1, reading)

    def write(self, data):
        """Write, and return what the agent passes on then."""
        os.write(self.writing, data)
        return self.take()

    def take(self):
        """Return everything that is passed on now."""
        found = list(self.stream.read())
        while self.stream.more:
            found += self.stream.read()
        return found

    def end(self):
        """Close the writing end and return what is passed on then."""
        os.close(self.writing)
        self.writing = None
        return self.take()

    def close(self):
        """Close what is left."""
        os.close(self.reading)
        if self.writing is not None:
            os.close(self.writing)


@pytest.fixture
def stream():
    """Return a stream over a pipe."""
    stream = Stream(*os.pipe())
    yield stream
    stream.close()


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ((b"one\n",), [[b"one\n"]]),
        ((b"one\ntwo\nthr", b"ee\n"), [[b"one\ntwo\n"], [b"three\n"]]),
        ((b"half",), [[]]),
        ((b"10 %\r20", b" %\r"), [[b"10 %\r"], []]),
        ((b"10 %\r", b"20 %\r", b"30 %\r"), [[], [b"10 %\r"], [b"20 %\r"]]),
        ((b"dos\r", b"\nnext\r\n"), [[], [b"dos\r\nnext\r\n"]]),
        ((b"a\rb\nc",), [[b"a\rb\n"]]),
    ],
)
def test_lines_are_passed_on_whole(pieces, expected, stream):
    r"""A line ends with ``\n`` or ``\r``; a last ``\r`` may be half of ``\r\n`` and waits."""
    assert [stream.write(piece) for piece in pieces] == expected


@pytest.mark.parametrize("rest", [b"half", b"10 %\r", b""])
def test_the_end_brings_the_rest(rest, stream):
    """A last line without its newline is not lost."""
    stream.write(b"one\n" + rest)
    assert b"".join(stream.end()) == rest
    assert stream.stream.ended


@given(st.lists(st.text("ab\r\n", min_size=1, max_size=9), max_size=12))
def test_nothing_is_lost_or_broken(pieces):
    """However a rank writes, all bytes come in order, and only the last piece is no line."""
    stream = Stream(*os.pipe())
    found = [data for piece in pieces for data in stream.write(piece.encode())]
    assert all(data.endswith((b"\n", b"\r")) for data in found)
    found += stream.end()
    stream.close()
    assert b"".join(found) == "".join(pieces).encode()
    assert not any(a.endswith(b"\r") and b.startswith(b"\n") for a, b in pairwise(found))


def test_a_line_longer_than_64_kib_comes_in_pieces(stream):
    """Memory is bounded; not a byte is lost."""
    found = []
    for _ in range(6):
        found += stream.write(b"x" * 60 * KIB)
    assert found
    assert all(len(data) <= 128 * KIB for data in found)
    found += stream.write(b"\n")
    assert b"".join(found) == b"x" * 360 * KIB + b"\n"


def test_a_line_of_64_kib_is_whole(stream):
    """The limit itself is kept together."""
    line = b"x" * (64 * KIB - 1) + b"\n"
    assert stream.write(line[: 60 * KIB]) == []
    assert stream.write(line[60 * KIB :]) == [line]


def test_a_terminal_without_a_writer_has_ended():
    """Reading then is an error, not an end: all that was written comes, and the end."""
    stream = Stream(*os.openpty())
    stream.write(b"last")
    assert stream.end() == [b"last"]
    assert stream.stream.ended
    stream.close()


class Sink:
    """An Outgoing over a pipe, with a loop's poll around it."""

    def __init__(self):
        self.reading, self.writing = os.pipe()
        self.outgoing = Outgoing(self.writing)
        self.poll, self.handlers = select.poll(), {}

    def watch(self):
        """Do what the loop does before it waits."""
        self.outgoing.watch(self.poll, self.handlers)

    def read(self, size):
        """Read what was written, and let the loop write on."""
        data = b""
        while len(data) < size:
            data += os.read(self.reading, size - len(data))
            for handler in list(self.handlers.values()):
                handler()
        return data


@pytest.fixture
def sink():
    """Return an Outgoing whose other end a test holds."""
    sink = Sink()
    yield sink
    for descriptor in (sink.reading, sink.writing):
        if descriptor is not None:
            os.close(descriptor)


def test_what_is_taken_is_written_at_once(sink):
    """No loop is needed while the launcher reads."""
    sink.outgoing.put(b"abc")
    assert os.read(sink.reading, 99) == b"abc"
    sink.watch()
    assert sink.handlers == {}


def test_what_ranks_write_goes_together_at_the_loops_next_round(sink):
    """A write for each piece would be a packet each, in ssh; a large heap does not wait."""
    os.set_blocking(sink.reading, False)
    for _ in range(3):
        sink.outgoing.put(b"piece", at_once=False)
    with pytest.raises(BlockingIOError):
        os.read(sink.reading, 100)
    sink.watch()
    assert os.read(sink.reading, 100) == b"piece" * 3
    assert not sink.handlers
    sink.outgoing.put(b"x" * 200 * KIB, at_once=False)
    assert os.read(sink.reading, 100) == b"x" * 100


def test_a_launcher_that_reads_slowly_makes_ranks_wait(sink):
    """Full above a megabyte, and until a good part is gone; nothing is lost or reordered."""
    data = bytes(range(256)) * 5 * KIB  # 1.25 MiB
    sink.outgoing.put(data)
    assert sink.outgoing.full
    sink.watch()
    found = sink.read(512 * KIB)
    sink.watch()
    assert sink.outgoing.full
    found += sink.read(600 * KIB)
    sink.watch()
    assert not sink.outgoing.full
    found += sink.read(len(data) - len(found))
    sink.watch()
    assert sink.handlers == {}
    assert found == data


def test_a_little_that_waits_is_not_full(sink):
    """Up to a megabyte ranks go on."""
    sink.outgoing.put(b"x" * 900 * KIB)
    assert not sink.outgoing.full


@pytest.mark.parametrize("how", ["close", "broken pipe"])
def test_nobody_reads_any_more(how, sink):
    """What is kept is forgotten, and nothing more is kept; nothing is raised."""
    sink.outgoing.put(b"x" * 2048 * KIB)
    sink.watch()
    if how == "close":
        sink.outgoing.close()
    else:
        os.close(sink.reading)
        sink.reading = None
        sink.outgoing.put(b"more")
    assert not sink.outgoing.full
    sink.watch()
    assert sink.handlers == {}
    sink.outgoing.put(b"x" * 2048 * KIB)
    assert not sink.outgoing.full


def test_a_flush_is_bounded(sink):
    """The last words are given a while, not for ever."""
    sink.outgoing.put(b"x" * 512 * KIB)
    sink.outgoing.flush(within_seconds=0.1)
    assert os.read(sink.reading, 9) == b"x" * 9


def test_what_was_written_just_before_the_last_writer_closed_is_read(monkeypatch):
    """Linux may say "no writer" while bytes lie there: stood in for, as it needs a rare timing."""
    no_writer = OSError(errno.EIO, "Input/output error")
    answers = [b"first\n", no_writer, b"second\n", no_writer]

    def read(_descriptor, _size):
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr("mpijob_runtime.agent.streams.os.read", read)
    stream = RankStream(0, 1, -1)
    assert b"".join(stream.read()) == b"first\nsecond\n"
    assert stream.ended
    assert not answers
