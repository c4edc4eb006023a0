"""Ctrl-C and SIGTERM as one exception that is raised once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(BaseException):
    """The user or the system asked us to stop; like KeyboardInterrupt, not an Exception."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = number

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as a shell reports it."""
        return 128 + self.number


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise ``Interrupted`` in the block at the first SIGINT or SIGTERM and ignore all later ones.

    Once one has come, later ones are ignored until the process has ended: an impatient second
    Ctrl-C must neither leave containers behind nor, at the interpreter's exit, change the code.
    """
    stopped = False

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        for each in previous:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(number)

    previous = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    for each in previous:
        signal.signal(each, stop)
    try:
        yield
    finally:
        for each, handler in () if stopped else previous.items():
            signal.signal(each, handler)
