"""SIGTERM as if it were Ctrl-C: what is under way is ended in order, and then this process."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Raise KeyboardInterrupt in the main thread at SIGTERM, as long as the block lasts."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, _frame: object) -> None:
    raise KeyboardInterrupt(signal.strsignal(number))
