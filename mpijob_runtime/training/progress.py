"""A rank's step number, where the launcher's ``--stall-timeout`` looks for it.

Layer: effects (files); imports nothing of ours.
"""

import os

_WIDTH = 20


class ProgressFile:
    """A small file that always holds the number of the latest step.

    Args:
        path: the file; it is made if it is not there.

    Raises:
        OSError: if it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, step: int) -> None:
        """Put the number over the former one: one system call, always a whole number.

        Raises:
            OSError: if it cannot be written.
        """
        os.pwrite(self._descriptor, b"%-*d\n" % (_WIDTH, step), 0)

    def close(self) -> None:
        """Close the file; its number stays."""
        os.close(self._descriptor)
