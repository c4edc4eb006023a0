"""Container logs in podman's ``k8s-file`` format, read like the kubelet reads them.

The files are followed directly: one reader for all pods costs less than a ``podman logs -f``
for each, and after a container's end the file holds all of its output.

Layer: reads files; knows nothing of podman.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_CHUNK_BYTES = 1 << 18
# A program that never ends its line must not fill our memory.
_LONGEST_LINE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a container wrote.

    Attributes:
        stream: ``stdout`` or ``stderr``.
        text: the line without its end; of a line that was redrawn with carriage returns, what
            a terminal would show last.
    """

    stream: str
    text: str


@dataclass(slots=True)
class LineAssembler:
    """Put the lines of a container together from the records of its log file.

    A record is ``TIME STREAM F|P TEXT``; P records are parts of a longer line.
    """

    _rest: bytes = b""
    _parts: dict[str, bytes] = field(default_factory=dict)

    def feed(self, data: bytes) -> Iterator[LogLine]:
        """Take more of the file and yield the lines that are now whole."""
        *records, self._rest = (self._rest + data).split(b"\n")
        for record in records:
            fields = record.split(b" ", 3)
            if len(fields) == 4:  # noqa: PLR2004 the record's format
                yield from self._take(fields[1].decode(), fields[2] == b"F", fields[3])

    def flush(self) -> Iterator[LogLine]:
        """Yield what a program left behind without ending its line."""
        for stream, text in self._parts.items():
            if text:
                yield LogLine(stream, _as_shown(text))
        self._parts.clear()

    def _take(self, stream: str, full: bool, text: bytes) -> Iterator[LogLine]:  # noqa: FBT001
        whole = self._parts.pop(stream, b"") + text
        if full or len(whole) > _LONGEST_LINE_BYTES:
            yield LogLine(stream, _as_shown(whole))
        else:
            self._parts[stream] = whole


def _as_shown(line: bytes) -> str:
    """Decode a line as a terminal would show it after its carriage returns."""
    text = line.decode("utf-8", "replace").rstrip("\r")
    return text.rpartition("\r")[2]


class LogFollower:
    """Follows the log files of all pods of a job from one place."""

    def __init__(self) -> None:
        self._followed: dict[str, _Followed] = {}

    def add(self, name: str, path: Path) -> None:
        """Follow one more file, which may not exist yet."""
        self._followed.setdefault(name, _Followed(path))

    def poll(self) -> Iterator[tuple[str, LogLine]]:
        """Yield the lines that came since the last call, with the name of their file."""
        for name, followed in self._followed.items():
            for line in followed.read():
                yield name, line

    def finish(self) -> Iterator[tuple[str, LogLine]]:
        """Yield what is left, unfinished lines included; then close the files."""
        yield from self.poll()
        for name, followed in self._followed.items():
            for line in followed.assembler.flush():
                yield name, line
        self.close()

    def close(self) -> None:
        """Close all files."""
        for followed in self._followed.values():
            followed.close()
        self._followed.clear()


@dataclass(slots=True)
class _Followed:
    path: Path
    assembler: LineAssembler = field(default_factory=LineAssembler)
    descriptor: int | None = None

    def read(self) -> Iterator[LogLine]:
        if self.descriptor is None:
            try:
                self.descriptor = os.open(self.path, os.O_RDONLY)
            except FileNotFoundError:
                return
        while data := os.read(self.descriptor, _CHUNK_BYTES):
            yield from self.assembler.feed(data)

    def close(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None
