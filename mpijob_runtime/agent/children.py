"""Short programs that the agent starts beside the ranks: what they print is an event.

A driver or library that hangs or crashes hurts only its own process.

Layer: effects (processes).
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_MOST_BYTES = 1 << 20
_PIECE_BYTES = 1 << 16


def nccl_argv(library: str) -> tuple[str, ...]:
    """Return the program that prints the version of a libnccl as JSON."""
    return (sys.executable, "-IS", f"{_PACKAGE}/probes/nccl_child.py", library)


class Child:
    """A program whose output is read by the agent's loop.

    Args:
        argv: the program.
        environ: its environment.
        on_end: called with what it has printed.

    Attributes:
        descriptor: to be read by ``read``.
    """

    def __init__(
        self,
        argv: tuple[str, ...],
        environ: dict[str, str],
        on_end: Callable[[str], None],
    ) -> None:
        self.descriptor, writing = os.pipe()
        self._on_end = on_end
        self._printed = bytearray()
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, writing, 1),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ]
        try:
            self._pid = os.posix_spawn(argv[0], argv, environ, file_actions=actions)
        except OSError:
            os.close(self.descriptor)
            raise
        finally:
            os.close(writing)

    def read(self) -> bool:
        """Take what it prints; return whether it has ended."""
        piece = os.read(self.descriptor, _PIECE_BYTES)
        if piece:
            if len(self._printed) < _MOST_BYTES:
                self._printed += piece
            return False
        os.close(self.descriptor)
        os.waitpid(self._pid, 0)
        self._on_end(self._printed.decode(errors="replace").strip())
        return True
