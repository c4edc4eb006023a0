"""Which networks work between hosts: an agent's listening and asking ends.

The launcher says who asks whom, and from which address. An asker must hear the word of the very
host that it was sent to (an address such as a container bridge's may be everybody's own), and
then sends bytes: a packet size that a network on the way does not pass shows as bytes that do not
arrive. It stays with the launcher to give up.

Layer: effects (sockets).
"""

from __future__ import annotations

import _socket
import os
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_PIECE = bytes(1 << 17)
_BACKLOG = 16
_MOST_PEERS = 64
_WORD_BYTES = 32
_REPLY_BYTES = 64
_SO_BINDTODEVICE = 25


class Links:
    """One host's ends.

    Args:
        poll: the agent's.
        handlers: descriptor -> what to do when it is ready.
        tell: sends an event to the launcher.
    """

    def __init__(
        self,
        poll: select.poll,
        handlers: dict[int, Callable[[], object]],
        tell: Callable[..., None],
    ) -> None:
        self.tell = tell
        self._poll = poll
        self._handlers = handlers
        self._word = os.urandom(_WORD_BYTES // 2).hex().encode()
        self._sockets: dict[int, _socket.socket] = {}
        self._peers: set[int] = set()

    def listen(self, addresses: Iterable[str]) -> dict[str, object]:
        """Listen on each address; return this host's word and address -> port."""
        ports = {}
        for address in addresses:
            listener = make_socket(address)
            os.set_blocking(listener.fileno(), False)  # who called may be gone when it is taken
            try:
                listener.bind((address, 0))
                listener.listen(_BACKLOG)
            except OSError:
                listener.close()  # no such address any more: nobody will reach it
                continue
            ports[address] = listener.getsockname()[1]
            self.watch(listener, select.POLLIN, self._accepter(listener))
        return {"word": self._word.decode(), "ports": ports}

    def ask(self, command: dict[str, str]) -> None:
        """Send bytes to another host and tell how that goes, in events named ``link``.

        Args:
            command: ``id`` of the question, ``to``, ``port`` and ``word`` of the other,
                ``source`` and ``interface`` here, at most ``bytes``, for at most ``seconds``.
        """
        _Question(self, command).start()

    def close(self) -> None:
        """Stop listening and asking."""
        for socket in list(self._sockets.values()):
            self.drop(socket)

    def watch(self, socket: _socket.socket, what: int, handler: Callable[[], object]) -> None:
        """Call ``handler`` when the socket is ready for ``what``, in place of a former one."""
        self._sockets[socket.fileno()] = socket
        self._handlers[socket.fileno()] = handler
        self._poll.register(socket.fileno(), what)

    def drop(self, socket: _socket.socket) -> None:
        """Close a socket that is watched."""
        descriptor = socket.fileno()
        self._poll.unregister(descriptor)
        del self._handlers[descriptor], self._sockets[descriptor]
        self._peers.discard(descriptor)
        socket.close()

    def _accepter(self, listener: _socket.socket) -> Callable[[], None]:
        def accept() -> None:
            try:
                descriptor, _ = listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001
            except OSError:
                return
            peer = _socket.socket(fileno=descriptor)
            if len(self._peers) >= _MOST_PEERS or not _say(peer, self._word):
                peer.close()
                return
            self._peers.add(descriptor)
            self.watch(peer, select.POLLIN, _Counter(self, peer).count)

        return accept


class _Counter:
    """Counts what another host sends, and says at its end how much it was."""

    def __init__(self, links: Links, peer: _socket.socket) -> None:
        os.set_blocking(peer.fileno(), False)
        self._links = links
        self._peer = peer
        self._bytes = 0

    def count(self) -> None:
        try:
            got = len(self._peer.recv(len(_PIECE)))
        except BlockingIOError:
            return
        except OSError:
            self._links.drop(self._peer)
            return
        self._bytes += got
        if not got:
            _say(self._peer, b"%d\n" % self._bytes)
            self._links.drop(self._peer)


class _Question:
    """Connects to another host, hears its word, sends, hears how much arrived."""

    def __init__(self, links: Links, command: dict[str, str]) -> None:
        self._links = links
        self._command = command
        self._socket = make_socket(command["to"])
        os.set_blocking(self._socket.fileno(), False)
        self._most_bytes = int(command["bytes"])
        self._heard = b""
        self._sent = 0
        self._began = 0.0

    def start(self) -> None:
        command = self._command
        self._links.watch(self._socket, select.POLLIN, self._hear_word)
        try:
            device = os.fsencode(command["interface"])
            self._socket.setsockopt(_socket.SOL_SOCKET, _SO_BINDTODEVICE, device)
        except OSError:
            pass  # old kernels, gVisor; the source address says almost the same
        try:
            self._socket.bind((command["source"], 0))
            self._socket.connect((command["to"], int(command["port"])))
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error)

    def _hear_word(self) -> None:
        whole = self._hear(lambda heard: len(heard) >= _WORD_BYTES)
        if whole is None:
            return
        if whole != self._command["word"].encode():
            self._end("failed", why="another host answers there" if whole else "no answer")
            return
        self._tell("open")
        self._began = time.monotonic()
        self._links.watch(self._socket, select.POLLOUT, self._send)

    def _send(self) -> None:
        left = self._most_bytes - self._sent
        over = time.monotonic() - self._began >= float(self._command["seconds"])
        try:
            if left > 0 and not over:
                self._sent += self._socket.send(memoryview(_PIECE)[:left])
                return
            self._socket.shutdown(_socket.SHUT_WR)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error)
            return
        self._links.watch(self._socket, select.POLLIN, self._hear_count)

    def _hear_count(self) -> None:
        whole = self._hear(lambda heard: heard.endswith(b"\n") or len(heard) > _REPLY_BYTES)
        if whole is None:
            return
        if whole != b"%d\n" % self._sent:
            self._end("failed", why="the connection broke off")
            return
        self._end("done", bytes=self._sent, seconds=time.monotonic() - self._began)

    def _hear(self, complete: Callable[[bytes], bool]) -> bytes | None:
        """Return a whole answer, or what there is of it at its end; None as long as it lasts."""
        try:
            piece = self._socket.recv(_REPLY_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            self._fail(error)
            return None
        self._heard += piece
        if piece and not complete(self._heard):
            return None
        whole, self._heard = self._heard, b""
        return whole

    def _fail(self, error: OSError) -> None:
        self._end("failed", why=error.strerror or "unknown error")

    def _end(self, state: str, **more: object) -> None:
        self._tell(state, **more)
        self._links.drop(self._socket)

    def _tell(self, state: str, **more: object) -> None:
        self._links.tell("link", id=self._command["id"], state=state, **more)


def make_socket(address: str) -> _socket.socket:
    """Return a TCP socket of an address's family."""
    family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
    return _socket.socket(family, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)


def _say(socket: _socket.socket, word: bytes) -> bool:
    try:
        return socket.send(word) == len(word)
    except OSError:
        return False
