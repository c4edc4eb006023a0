import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpijob_runtime.frame_reader import FrameReader, parse_object
from mpijob_runtime.frames import (
    GREETING,
    FrameError,
    format_command,
    format_event,
    format_output,
    parse_command,
)

PIECES = st.lists(
    st.one_of(
        st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=9), max_size=3),
        st.tuples(st.integers(0, 99999), st.sampled_from([1, 2]), st.binary(max_size=99)),
    ),
    max_size=6,
)


def pack(pieces):
    """Return pieces as an agent sends them, and the frames that are to come out."""
    data, expected = b"", []
    for piece in pieces:
        if isinstance(piece, dict):
            data += format_event(piece)
            expected.append(piece)
        else:
            data += format_output(*piece)
            expected.append(piece)
    return data, expected


@given(PIECES, st.lists(st.integers(1, 40), max_size=30), st.binary(max_size=30))
def test_frames_come_out_as_they_went_in(pieces, cuts, noise):
    """However the bytes are cut on their way, and whatever a login shell said before them."""
    data, expected = pack(pieces)
    data = noise + b"\n" + GREETING + data
    reader, found = FrameReader(), []
    for cut in cuts:
        found += reader.feed(data[:cut])
        data = data[cut:]
    found += reader.feed(data)
    assert [parse_object(f[2]) if f[0] < 0 else f for f in found] == expected


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.floats(-1e9, 1e9),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_an_event_is_json(value):
    """The agent writes it without the json module, and every reader understands it."""
    data = format_event({"event": "x", "value": value})
    assert json.loads(data.partition(b"\n")[2]) == {"event": "x", "value": value}


def test_what_json_cannot_say_is_refused():
    """A bug of ours is found where it is made."""
    with pytest.raises(TypeError, match="set"):
        format_event({"event": {1}})


@given(st.lists(st.binary(max_size=80), max_size=5), st.booleans())
def test_anything_else_is_a_frame_error_and_nothing_worse(pieces, greeted):
    """A host that sends nonsense cannot end the launcher in any other way."""
    reader = FrameReader()
    if greeted:
        list(reader.feed(GREETING))
    try:
        for piece in pieces:
            for rank, stream, data in reader.feed(piece):
                assert (rank, stream) == (-1, 0) or (rank >= 0 and stream in (0, 1, 2))
                assert isinstance(data, bytes)
    except FrameError:
        pass


HEADERS = st.from_regex(rb"[EOX] [0-9\xb2-]{1,12} [0-9]{1,3} -?[0-9]{1,12}\n", fullmatch=True)


@given(st.lists(HEADERS, max_size=4))
def test_odd_headers_are_a_frame_error_and_nothing_worse(headers):
    """Headers that are nearly right, numbers without end included."""
    reader = FrameReader()
    with contextlib.suppress(FrameError):
        list(reader.feed(GREETING + b"".join(headers)))


@pytest.mark.parametrize(
    "header",
    [
        b"X 0 0 2\n{}",
        b"E 0 0\n{}",
        b"E 0 0 -2\n{}",
        b"O 1 3 1\nx",
        b"O -1 1 1\nx",
        b"O 1 1 16777217\n",
        b"O 1 1 99999999999999999999999\n",
        b"O 1 1 1 \nx",
        b"O 1 1 \xb2\nx",
        b"\nE 0 0 2\n{}",
        b"x" * 64,
    ],
)
def test_what_is_no_frame_is_said(header):
    """A wrong kind, number, stream or length is found at the header, before any waiting."""
    reader = FrameReader()
    with pytest.raises(FrameError, match="not a frame"):
        list(reader.feed(GREETING + header))


def test_a_frame_of_the_longest_length_is_taken():
    """16 MiB are a frame, one byte more is none."""
    data = b"x" * (1 << 24)
    assert list(FrameReader().feed(GREETING + format_output(1, 1, data))) == [(1, 1, data)]


def test_half_a_frame_waits_for_the_rest():
    """Nothing is given before its last byte is there."""
    reader = FrameReader()
    data = GREETING + format_output(3, 2, b"line\n")
    assert list(reader.feed(data[:-1])) == []
    assert list(reader.feed(data[-1:])) == [(3, 2, b"line\n")]


def test_noise_is_what_came_in_place_of_a_greeting():
    """A missing agent is explained by what its shell said instead."""
    reader = FrameReader()
    list(reader.feed(b"sh: agent: not found\n"))
    assert reader.noise == "sh: agent: not found"
    list(reader.feed(GREETING))
    assert reader.noise == ""


def test_noise_without_end_is_an_error():
    """A host that prints for ever is no agent."""
    with pytest.raises(FrameError, match="no greeting"):
        list(FrameReader().feed(b"y\n" * 40000))


FIELD = st.text(st.characters(exclude_characters="\0\n", exclude_categories=["Cs"]), max_size=20)
NAME = st.from_regex(r"[a-z_]{1,9}", fullmatch=True)


@given(st.dictionaries(NAME, FIELD, max_size=4))
def test_a_command_is_one_line_and_comes_back(command):
    """Commands are cut at newlines, so none has one inside."""
    data = format_command(command)
    assert data.count(b"\n") == 1
    assert parse_command(data) == command


def test_a_command_with_a_newline_is_refused():
    """It would be two."""
    with pytest.raises(ValueError, match="one line"):
        format_command({"do": "go\ndo=kill"})


@given(st.binary(max_size=40))
def test_arbitrary_bytes_are_no_more_than_an_odd_command(data):
    """Nothing is raised."""
    assert isinstance(parse_command(data), dict)


@pytest.mark.parametrize("data", [b"", b"[]", b"3", b"null", b"{", b"\xff", b"[" * 100000])
def test_what_is_no_object_is_a_frame_error(data):
    """Other JSON, half JSON and no JSON."""
    with pytest.raises(FrameError):
        parse_object(data)


@given(st.binary(max_size=40))
def test_arbitrary_bytes_are_an_object_or_a_frame_error(data):
    """Nothing else is raised."""
    with contextlib.suppress(FrameError):
        assert isinstance(parse_object(data), dict)
