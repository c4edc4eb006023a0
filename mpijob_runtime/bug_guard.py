"""Keeps a bug of ours from being taken for something else while a job runs.

Layer: effects (threads); imports nothing of ours.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType


class BugGuard:
    """Takes every exception of a block; of a thread, too, that would die of one.

    ``with guard:`` around what others call; ``with guard.of_threads():`` around the time in which
    threads run.

    Args:
        on_bug: called with each exception, in the thread that met it.
    """

    def __init__(self, on_bug: Callable[[Exception], None]) -> None:
        self._on_bug = on_bug

    def __enter__(self) -> None:
        """Begin; nothing to do."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Take an exception, but none that is to end the process."""
        if not isinstance(error, Exception):
            return False
        self._on_bug(error)
        return True

    @contextmanager
    def of_threads(self) -> Iterator[None]:
        """Take what ends any thread in the block."""

        def take(found: threading.ExceptHookArgs) -> None:
            with self:
                raise found.exc_value or found.exc_type()

        former, threading.excepthook = threading.excepthook, take
        try:
            yield
        finally:
            threading.excepthook = former
