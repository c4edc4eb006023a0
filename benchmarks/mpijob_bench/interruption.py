"""SIGTERM as if it were Ctrl-C: what is under way is ended in order, and then this process."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from mpijob_bench.errors import TerminatedError


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Raise KeyboardInterrupt in the main thread at SIGTERM, as long as the block lasts.

    Raises:
        TerminatedError: from the end of the block, if it was SIGTERM.
    """
    terminated = False

    def interrupt(_number: int, _frame: object) -> None:
        nonlocal terminated
        terminated = True
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        if terminated:
            raise TerminatedError("ended by SIGTERM", remedy="the same command goes on") from None
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
