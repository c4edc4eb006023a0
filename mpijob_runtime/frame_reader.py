"""The launcher's half of frames.py: takes frames apart.

Layer: pure; imports frames.
"""

import json
from collections.abc import Iterator

from mpijob_runtime.frames import GREETING, FrameError

_LONGEST_HEADER = 64
_LONGEST_FRAME = 1 << 24
_LONGEST_NOISE = 1 << 16
_STREAMS = {b"E": (0,), b"O": (1, 2)}

Frame = tuple[int, int, bytes]
"""Rank and stream of an output, or (-1, 0) for an event; and the bytes."""


def parse_object(data: bytes) -> dict[str, object]:
    """Return a JSON object.

    Raises:
        FrameError: if it is anything else.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"not JSON: {data[:40]!r}") from error
    if not isinstance(found, dict):
        raise FrameError(f"not a JSON object: {data[:40]!r}")
    return found


class FrameReader:
    """Takes bytes as they come and gives frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._greeted = False

    @property
    def noise(self) -> str:
        """What came in place of a greeting, for people."""
        return "" if self._greeted else bytes(self._buffer[:200]).decode(errors="replace").strip()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that are complete now.

        Raises:
            FrameError: if something else came.
        """
        self._buffer += data
        if not self._greeted and not self._find_greeting():
            return
        while (frame := self._next()) is not None:
            yield frame

    def _find_greeting(self) -> bool:
        at = self._buffer.find(GREETING)
        if at < 0:
            if len(self._buffer) > _LONGEST_NOISE:
                raise FrameError("no greeting of an agent")
            return False
        del self._buffer[: at + len(GREETING)]
        self._greeted = True
        return True

    def _next(self) -> Frame | None:
        end = self._buffer.find(b"\n", 0, _LONGEST_HEADER)
        if end < 0:
            if len(self._buffer) >= _LONGEST_HEADER:
                raise FrameError(f"not a frame: {bytes(self._buffer[:_LONGEST_HEADER])!r}")
            return None
        kind, rank, stream, length = _parse_header(bytes(self._buffer[:end]))
        after = end + 1 + length
        if len(self._buffer) < after:
            return None
        with memoryview(self._buffer) as view:
            data = bytes(view[end + 1 : after])
        del self._buffer[:after]
        return (-1, 0, data) if kind == b"E" else (rank, stream, data)


def _parse_header(header: bytes) -> tuple[bytes, int, int, int]:
    words = header.split(b" ")
    wanted = 4
    if len(words) != wanted or words[0] not in (b"E", b"O") or not all(map(_number, words[1:])):
        raise FrameError(f"not a frame: {header!r}")
    rank, stream, length = (int(word) for word in words[1:])
    if length > _LONGEST_FRAME or stream not in _STREAMS[words[0]]:
        raise FrameError(f"not a frame: {header!r}")
    return words[0], rank, stream, length


def _number(word: bytes) -> bool:
    return word.isdigit() and len(word) <= len(str(_LONGEST_FRAME)) + 1
