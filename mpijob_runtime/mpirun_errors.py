"""What mpirun itself says on stderr: passed on line by line, and its last words kept.

Layer: effects (descriptors, threads); imports noise, passed_lines.
"""

from collections import deque

from mpijob_runtime.noise import is_noise_of_mpirun
from mpijob_runtime.passed_lines import PassedLines

_KEPT_LINES = 60


class MpirunErrors(PassedLines):
    """A pipe for mpirun's stderr, which keeps the last lines."""

    def __init__(self, target: int = 2) -> None:
        self._lines: deque[bytes] = deque(maxlen=_KEPT_LINES)
        super().__init__(is_noise_of_mpirun, target=target)

    @property
    def tail(self) -> str:
        """The last lines."""
        return b"".join(self._lines).decode(errors="replace")

    def note(self, lines: list[bytes]) -> None:
        """Keep the last lines."""
        self._lines.extend(lines)
