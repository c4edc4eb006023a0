"""A log file for each rank, which a full disk makes shorter and never silently so.

Each start of a job has a directory of its own, named by its id: a retry and a job beside this one
touch no log of another.

Layer: effects (files); imports outcome for words, private_files for the limit of open files.
"""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from mpijob_runtime.outcome import count, format_ranks
from mpijob_runtime.private_files import allow_descriptors


@dataclass(slots=True)
class Missing:
    """How much could not be written."""

    lines: int = 0
    size: int = 0

    def add(self, data: bytes) -> None:
        """Count what did not go in."""
        self.lines += data.count(b"\n") + (not data.endswith(b"\n"))
        self.size += len(data)

    def __str__(self) -> str:
        return f"{count(self.lines, 'line')} ({count(self.size, 'byte')})"


class RankLogs:
    """The files of one start of a job.

    Args:
        directory: of this start; made if it is not there.
        warn: takes what people should know.

    Raises:
        OSError: if the directory cannot be made.
    """

    def __init__(self, directory: str, warn: Callable[[str], None]) -> None:
        os.makedirs(directory, exist_ok=True)
        self._digits = 1
        self._directory = directory
        self._warn = warn
        self._files: dict[int, int] = {}
        self._holes: dict[int, Missing] = {}
        self._missing: dict[int, Missing] = {}
        self._told = False

    def expect(self, world_size: int) -> None:
        """Take note of how many ranks there are, for the width of file names, and make room."""
        self._digits = len(str(max(world_size - 1, 0)))
        allow_descriptors(2 * world_size)  # a file each, and a connection for each host

    def write(self, rank: int, data: bytes) -> None:
        """Write what a rank said.

        What does not go in is counted, and its place is marked once there is room again. The first
        trouble is told; the job goes on.
        """
        rest = memoryview(data)
        try:
            file = self._open(rank)
            self._mark_hole(rank, file)
            while rest:
                rest = rest[os.write(file, rest) :]
        except OSError as error:
            self._tell(rank, error)
            self._missing.setdefault(rank, Missing()).add(bytes(rest))
            self._holes.setdefault(rank, Missing()).add(bytes(rest))

    def close(self) -> None:
        """Close the files, and tell how much is missing in them."""
        for rank, file in self._files.items():
            with suppress(OSError):  # no room for that either; what is missing is told below
                self._mark_hole(rank, file)
            try:
                os.close(file)
            except OSError as error:  # file systems of a network may tell at last
                self._tell(rank, error)
        self._files.clear()
        if self._missing:
            found = self._missing.values()
            whole = Missing(sum(m.lines for m in found), sum(m.size for m in found))
            ranks = format_ranks(sorted(self._missing))
            self._warn(f"{self._directory}: missing are {whole} of {ranks}")

    def _open(self, rank: int) -> int:
        if rank not in self._files:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._files[rank] = os.open(self._path(rank), flags, 0o644)
        return self._files[rank]

    def _path(self, rank: int) -> str:
        return f"{self._directory}/rank-{rank:0{self._digits}}.log"

    def _mark_hole(self, rank: int, file: int) -> None:
        if rank in self._holes:
            mark = f"\nmpijob: missing here are {self._holes[rank]}\n".encode()
            if os.write(file, mark) < len(mark):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            del self._holes[rank]

    def _tell(self, rank: int, error: OSError) -> None:
        if not self._told:
            self._told = True
            self._warn(
                f"{self._path(rank)}: cannot write: {error.strerror}; the job goes on, and what"
                " its logs miss is counted\n  next: make room there, and later lines are kept"
            )
