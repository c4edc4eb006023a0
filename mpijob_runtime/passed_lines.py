"""What a program says on stderr: passed on line by line, but for its noise.

Layer: effects (descriptors, threads); imports nothing of ours.
"""

import os
import threading
from collections.abc import Callable

_LONGEST_LINE = 1 << 16


class PassedLines:
    """A pipe for a program's stderr.

    Args:
        is_noise: tells whether a line, without its end, is to be left out.
        target: descriptor to which the others go.

    Attributes:
        descriptor: the end that the program gets.
    """

    def __init__(self, is_noise: Callable[[bytes], bool], *, target: int = 2) -> None:
        self._reading, self.descriptor = os.pipe()
        self._is_noise = is_noise
        self._target = target
        self._thread = threading.Thread(target=self._pass_on, daemon=True, name="stderr")
        self._thread.start()

    def close(self) -> None:
        """Wait for the end of what is left to read, unless somebody else holds the pipe."""
        self._thread.join(timeout=2.0)

    def note(self, lines: list[bytes]) -> None:
        """Take note of lines that are about to be passed on."""

    def _pass_on(self) -> None:
        rest = b""
        while data := os.read(self._reading, 1 << 16):
            rest += data
            cut = rest.rfind(b"\n") + 1 if len(rest) < _LONGEST_LINE else len(rest)
            self._write(rest[:cut])
            rest = rest[cut:]
        self._write(rest)

    def _write(self, data: bytes) -> None:
        lines = data.splitlines(keepends=True)
        lines = [line for line in lines if not self._is_noise(line.rstrip(b"\r\n"))]
        self.note(lines)
        data = b"".join(lines)
        try:
            while data:
                data = data[os.write(self._target, data) :]
        except OSError:
            return  # nobody reads our stderr any more
