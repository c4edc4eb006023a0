"""Ranks' output, as people and programs read it: lines that are never broken or mixed.

Layer: effects (descriptors, files); imports hosts, mpirun_output, rank_logs, settings.
"""

import json
import os
import re
import select
import threading
import time
from collections import deque
from collections.abc import Callable

from mpijob_runtime.hosts import short_name
from mpijob_runtime.mpirun_output import Tags
from mpijob_runtime.rank_logs import Missing, RankLogs
from mpijob_runtime.settings import Form

_NEXT_LINE = re.compile(rb"(\r\n|\r(?!\n)|\n)(?=.)", re.DOTALL)
_KEPT_BYTES = 8192
_STANDARD = {1: "stdout", 2: "stderr"}
_encode = json.JSONEncoder(ensure_ascii=False).encode


class RankOutput:
    """Writes what ranks say to stdout and stderr, and to files if asked for.

    Thread-safe; a piece is written as a whole. If nobody reads stdout any more, the job goes on.

    Args:
        form: how a line looks.
        log_dir: directory for one file a rank, or None; made if it is not there.
        tags: what stands before a line, where that is not what its form has.
        descriptors: where stdout and stderr of the ranks go.
        warn: takes what people should know of lines that could not be written.

    Raises:
        OSError: if the directory cannot be made.
    """

    def __init__(
        self,
        form: Form,
        log_dir: str | None,
        *,
        tags: Tags | None = None,
        descriptors: tuple[int, int] = (1, 2),
        warn: Callable[[str], None] = lambda _words: None,
    ) -> None:
        self._form = form
        self._tags = tags
        self._descriptors = dict(zip((1, 2), descriptors, strict=True))
        self._lock = threading.Lock()
        self._unfinished: dict[int, tuple[int, int]] = {}
        self._warn = warn
        self._missing: dict[int, Missing] = {}
        self._tails: dict[tuple[int, int], deque[bytes]] = {}
        self._kept: dict[tuple[int, int], int] = {}
        self._logs = None if log_dir is None else RankLogs(log_dir, warn)
        self.last_seconds = time.monotonic()
        self.total_bytes = 0

    def expect(self, world_size: int) -> None:
        """Take note of how many ranks there are, for the width of file names."""
        if self._logs is not None:
            self._logs.expect(world_size)

    def write(self, rank: int, host: str, stream: int, data: bytes) -> None:
        """Write what a rank wrote to stdout (1) or stderr (2)."""
        prefix = self._prefix(rank, host, stream)
        shown = self._as_json(rank, host, stream, data) if self._form == "json" else data
        shown = _prefixed(prefix, shown) if prefix else shown
        with self._lock:
            self.last_seconds = time.monotonic()
            self.total_bytes += len(data)
            self._keep(rank, stream, data)
            descriptor = self._descriptors.get(stream)
            if descriptor is not None:
                if self._unfinished.get(descriptor) == (rank, stream):
                    shown = shown[len(prefix) :]  # a long line's next piece
                self._write_whole(descriptor, (rank, stream), shown)
            if self._logs is not None:
                self._logs.write(rank, data)

    def tail(self, rank: int) -> str:
        """Return the last words of a rank: stdout's, then stderr's."""
        with self._lock:
            parts = [b"".join(self._tails.get((rank, stream), ())) for stream in (1, 2)]
        return b"\n".join(parts).decode(errors="replace")

    def close(self) -> None:
        """End an unfinished last line, so that what follows has a line of its own."""
        with self._lock:
            if self._form != "plain" or self._tags is not None:
                for descriptor in self._unfinished:
                    self._put(descriptor, b"\n")
            for descriptor, missing in self._missing.items():
                stream = self._name(descriptor)
                self._warn(f"{stream}: missing are {missing} of the ranks' output")
            if self._logs is not None:
                self._logs.close()

    def _prefix(self, rank: int, host: str, stream: int) -> bytes:
        if self._tags is not None:
            return self._tags.before(rank, stream, time.ctime())
        return f"[{rank} {short_name(host)}] ".encode() if self._form == "prefix" else b""

    @staticmethod
    def _as_json(rank: int, host: str, stream: int, data: bytes) -> bytes:
        now = round(time.time(), 3)
        same = {"time": now, "rank": rank, "host": host, "stream": _STANDARD[stream]}
        lines = data.decode(errors="backslashreplace").split("\n")
        if lines[-1] == "":
            lines.pop()
        head = f'{_encode(same)[:-1]}, "text": '  # a whole dump of each line costs ten times that
        text = "".join([f"{head}{_encode(line)}}}\n" for line in lines])
        return text.encode(errors="backslashreplace")

    def _write_whole(self, descriptor: int, source: tuple[int, int], data: bytes) -> None:
        former = self._unfinished.pop(descriptor, None)
        if former not in (None, source):
            data = b"\n" + data
        if not data.endswith((b"\n", b"\r")):
            self._unfinished[descriptor] = source
        self._put(descriptor, data)

    def _put(self, descriptor: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(descriptor, view) :]
            except BlockingIOError:
                waiting = select.poll()
                waiting.register(descriptor, select.POLLOUT)
                waiting.poll()
            except BrokenPipeError:  # nobody reads any more: the job is worth more than its log
                self._descriptors = {s: d for s, d in self._descriptors.items() if d != descriptor}
                return
            except OSError as error:  # a full disk: there may be room for what comes later
                self._miss(descriptor, bytes(view), error)
                return

    def _miss(self, descriptor: int, data: bytes, error: OSError) -> None:
        if descriptor not in self._missing:
            self._missing[descriptor] = Missing()
            words = f"cannot write the ranks' output: {error.strerror}; the job goes on"
            self._warn(f"{self._name(descriptor)}: {words}")
        self._missing[descriptor].add(data)

    def _name(self, descriptor: int) -> str:
        return next(_STANDARD[s] for s, d in self._descriptors.items() if d == descriptor)

    def _keep(self, rank: int, stream: int, data: bytes) -> None:
        key = (rank, stream)
        tail = self._tails.setdefault(key, deque())
        piece = data[-_KEPT_BYTES:]
        tail.append(piece)
        self._kept[key] = self._kept.get(key, 0) + len(piece)
        while self._kept[key] - len(tail[0]) >= _KEPT_BYTES:
            self._kept[key] -= len(tail.popleft())


def _prefixed(prefix: bytes, data: bytes) -> bytes:
    """Return data with a prefix before each of its lines."""
    if b"\r" in data:
        return prefix + _NEXT_LINE.sub(rb"\1" + prefix, data)
    body = data.removesuffix(b"\n").replace(b"\n", b"\n" + prefix)
    return prefix + body + (b"\n" if data.endswith(b"\n") else b"")
