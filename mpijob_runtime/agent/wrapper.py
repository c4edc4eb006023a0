"""The agent's end of the connection to a rank's wrapper.

Layer: effects (sockets).
"""

from __future__ import annotations

import _socket
import os
import sys

from mpijob_runtime import carried

_NUMBERS = frozenset(
    {"rank", "world_size", "local_rank", "pid", "found", "exit_code", "signal", "oom_kills"}
)
_NEEDED = {"start": {"time", "rank"}, "running": {"time", "pid"}, "exit": {"time"}}
"""What a message says, and which fields the agent and the launcher need of it."""

_MOST_DIGITS = 19
_LATEST_SECONDS = 1e12
_MOST_PACKET_BYTES = 1 << 18
_RIGHTS_BYTES = 8


class Wrapper:
    """The connection to one rank's wrapper (rank.py).

    Attributes:
        descriptor: of the connection.
        rank: its number, once it has said so.
        job: MPI's name for the ranks that were started together with it.
        pid: of its program, once that runs; else 0.
        ended: whether its program has ended.
    """

    def __init__(self, connection: _socket.socket) -> None:
        self._connection = connection
        self.descriptor = connection.fileno()
        self.rank: int | None = None
        self.job = ""
        self.pid = 0
        self.ended = False

    def go(self, told: dict[str, str], *, first: bool) -> None:
        """Let the program start, with the variables that the launcher has for it.

        Args:
            told: the launcher's command; ``all.NAME`` is for every rank of the host,
                ``3.NAME`` for rank 3, ``all.NAME!OTHER`` for those that have no ``OTHER``.
            first: whether it was at the gate when that opened: ranks that the program spawns
                later have numbers of their own.
        """
        for_it = ["all.", f"{self.rank}."] if first else ["all."]
        pairs = [
            f"{name.removeprefix(prefix)}={value}"
            for prefix in for_it
            for name, value in told.items()
            if name.startswith(prefix)
        ]
        self.tell("\0".join([carried.GO.decode(), *pairs]).encode())

    def tell(self, word: bytes) -> None:
        """Say ``go``, ``hold`` or ``release``."""
        try:
            self._connection.send(word, _socket.MSG_DONTWAIT)
        except OSError:
            return  # it has gone: its end is read as such

    def receive(self) -> tuple[tuple[str, dict[str, object]] | None, list[int]]:
        """Return the next message, or None at the end, and the descriptors that came with it.

        What is no message of a wrapper is the end, too: the ranks' programs can reach the socket.

        Raises:
            BlockingIOError: if there is none now.
        """
        try:
            data, ancillary, _, _ = self._connection.recvmsg(
                _MOST_PACKET_BYTES, _socket.CMSG_SPACE(_RIGHTS_BYTES), _socket.MSG_DONTWAIT
            )
        except BlockingIOError:
            raise
        except OSError:
            return None, []
        if not data:
            return None, []
        rights = b"".join(item for _, kind, item in ancillary if kind == _socket.SCM_RIGHTS)
        descriptors = [
            int.from_bytes(rights[at : at + 4], sys.byteorder) for at in range(0, len(rights), 4)
        ]
        try:
            return _parse_message(os.fsdecode(data)), descriptors
        except ValueError:
            for descriptor in descriptors:
                os.close(descriptor)
            return None, []

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _parse_message(text: str) -> tuple[str, dict[str, object]]:
    """Return the event and its fields; fields that nobody knows are left out.

    Raises:
        ValueError: if it is no message of a wrapper.
    """
    event, *items = text.split("\0")
    fields: dict[str, object] = {}
    for item in items:
        name, _, value = item.partition("=")
        if name in _NUMBERS:
            fields[name] = _whole(value)
        elif name in ("time", "monotonic"):
            fields[name] = _seconds(value)
        elif name in ("job", "directory") or name.startswith("env."):
            fields[_shown(name)] = _shown(value)
    if event not in _NEEDED or not _NEEDED[event] <= fields.keys():
        raise ValueError(f"no message of a wrapper: {event[:40]!r}")
    return event, fields


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError("too long a number")
    return int(text)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < _LATEST_SECONDS:  # JSON has no infinity
        raise ValueError(f"no time: {seconds}")
    return seconds


def _shown(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
