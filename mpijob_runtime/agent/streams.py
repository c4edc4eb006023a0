"""Ranks' output on its way: whole lines from the ranks, bounded memory towards the launcher.

Layer: effects (descriptors).
"""

from __future__ import annotations

import os
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_READ_BYTES = 1 << 16
_WRITE_BYTES = 1 << 17
_LONGEST_LINE = 1 << 16
_HIGH_BYTES, _LOW_BYTES = 1 << 20, 1 << 18


class RankStream:
    """One output stream of one rank.

    A line ends with a newline or, so that progress bars come through, with a carriage return.
    Longer ones than 64 KiB come in pieces.

    Attributes:
        rank: whose it is.
        number: 1 for stdout, 2 for stderr.
        ended: whether nothing more can come.
        more: whether the last read took something.
    """

    def __init__(self, rank: int, number: int, descriptor: int) -> None:
        self.rank = rank
        self.number = number
        self.ended = False
        self.more = False
        self._descriptor = descriptor
        self._rest = b""
        self._left_alone = False

    def read(self) -> Iterator[bytes]:
        """Yield what can be passed on now: whole lines."""
        data = self._rest + self._take()
        if not self.more and not self.ended:
            return
        cut = len(data) if self.ended or len(data) > 2 * _LONGEST_LINE else _cut(data)
        self._rest = data[cut:]
        if len(self._rest) > _LONGEST_LINE:
            cut, self._rest = len(data), b""
        if cut:
            yield data[:cut]

    def _take(self) -> bytes:
        """Return what is there, up to a bound; a terminal gives 4 KiB at a time, however much.

        Linux looks first for bytes and then for a writer: what is written in between, by a writer
        that then closes, is only there for who reads again (n_tty_read).
        """
        pieces, size = [], 0
        while size < _READ_BYTES:
            try:
                piece = os.read(self._descriptor, _READ_BYTES)
            except BlockingIOError:
                break
            except OSError:  # a terminal without a writer
                if not self._left_alone:
                    self._left_alone = True
                    continue
                piece = b""
            if not piece:
                self.ended = True
                break
            pieces.append(piece)
            size += len(piece)
        self.more = size > 0 and not self.ended
        return b"".join(pieces)


def _cut(data: bytes) -> int:
    r"""Return where the last whole line ends; ``\r`` counts once it is no half of ``\r\n``."""
    return max(data.rfind(b"\n"), data.rfind(b"\r", 0, max(len(data) - 1, 0))) + 1


class Outgoing:
    """Bytes for the launcher; what it does not take yet is kept, up to about a megabyte.

    Args:
        descriptor: where to write; made non-blocking.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._queue = bytearray()
        self._watched = False
        self._closed = False
        os.set_blocking(descriptor, False)

    @property
    def full(self) -> bool:
        """Whether no more should be put; stays so until a good part is gone."""
        return len(self._queue) > (_LOW_BYTES if self._watched else _HIGH_BYTES)

    def put(self, data: bytes, *, at_once: bool = True) -> None:
        """Write now what can be written, and keep the rest.

        Not at once: with others by ``watch``, at the loop's next round. A write for each piece of
        each rank would be a packet for each, in ssh.
        """
        if self._closed:
            return
        self._queue += data
        if at_once or len(self._queue) >= _WRITE_BYTES:
            self._write()

    def close(self) -> None:
        """Nobody reads any more: forget what is kept."""
        self._closed = True
        self._queue.clear()

    def watch(self, poll: select.poll, handlers: dict[int, Callable[[], object]]) -> None:
        """Write, and let a loop write on as soon as the launcher takes more."""
        if not self._watched:
            self._write()
        wanted = bool(self._queue) and not self._closed
        if wanted and not self._watched:
            handlers[self._descriptor] = self._write
            poll.register(self._descriptor, select.POLLOUT)
        elif self._watched and not wanted:
            del handlers[self._descriptor]
            poll.unregister(self._descriptor)
        self._watched = wanted

    def flush(self, *, within_seconds: float) -> None:
        """Write everything, as long as something is taken within this time."""
        waiting = select.poll()
        waiting.register(self._descriptor, select.POLLOUT)
        deadline = time.monotonic() + within_seconds
        while self._queue and time.monotonic() < deadline:
            before = len(self._queue)
            waiting.poll(100)
            self._write()
            if len(self._queue) < before:
                deadline = time.monotonic() + within_seconds

    def _write(self) -> None:
        try:
            while self._queue:
                with memoryview(self._queue) as view:
                    written = os.write(self._descriptor, view[:_WRITE_BYTES])
                del self._queue[:written]
        except BlockingIOError:
            return
        except OSError:
            self.close()
