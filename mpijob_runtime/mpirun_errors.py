"""What mpirun itself says on stderr: passed on line by line, and its last words kept.

Layer: effects (descriptors, threads).
"""

import os
import threading
from collections import deque

_KEPT_LINES = 60
_LONGEST_LINE = 1 << 16


class MpirunErrors:
    """A pipe for mpirun's stderr.

    Attributes:
        descriptor: the end that mpirun gets.
    """

    def __init__(self, target: int = 2) -> None:
        self._reading, self.descriptor = os.pipe()
        self._target = target
        self._lines: deque[bytes] = deque(maxlen=_KEPT_LINES)
        self._thread = threading.Thread(target=self._pass_on, daemon=True, name="mpirun-stderr")
        self._thread.start()

    @property
    def tail(self) -> str:
        """The last lines."""
        return b"".join(self._lines).decode(errors="replace")

    def close(self) -> None:
        """Wait for the end of what is left to read, unless somebody else holds the pipe."""
        self._thread.join(timeout=2.0)

    def _pass_on(self) -> None:
        rest = b""
        while data := os.read(self._reading, 1 << 16):
            rest += data
            cut = rest.rfind(b"\n") + 1 if len(rest) < _LONGEST_LINE else len(rest)
            self._write(rest[:cut])
            rest = rest[cut:]
        self._write(rest)

    def _write(self, data: bytes) -> None:
        self._lines.extend(data.splitlines(keepends=True))
        try:
            while data:
                data = data[os.write(self._target, data) :]
        except OSError:
            return  # nobody reads our stderr any more
