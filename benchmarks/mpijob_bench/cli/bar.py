"""Progress on stderr: a bar for people, now and then a line for logs."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

_LINE_SECONDS = 10.0


class Bar:
    """Shows how far a measurement is and how long it will still take.

    Args:
        console: stderr, if None.
        quiet: show nothing.
    """

    def __init__(self, console: Console | None = None, *, quiet: bool = False) -> None:
        self._console = console or Console(stderr=True, quiet=quiet)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        left = TextColumn("{task.fields[left]}")
        terminal = self._console.is_terminal
        self._progress = Progress(*columns, left, console=self._console, disable=not terminal)
        self._task = self._progress.add_task("starting", total=None, left="")
        self._said = time.monotonic()

    def show(self, what: str, *, done: int, total: int | None, left_seconds: float | None) -> None:
        """Say what is done.

        Args:
            what: is measured now.
            done: of ``total``.
            total: steps, or None if they are not known yet.
            left_seconds: until the end, or None if that is not known yet.
        """
        left = "" if left_seconds is None else f"about {left_seconds:.0f} s left"
        if self._console.is_terminal:
            self._progress.update(
                self._task, description=what, completed=done, total=total, left=left
            )
        elif time.monotonic() - self._said >= _LINE_SECONDS:
            self._said = time.monotonic()
            so_far = [] if total is None else [f"{done} of {total}"]
            words = ", ".join([*so_far, *([left] if left else [])])
            self._console.print(f"{what}: {words}" if words else what, highlight=False)

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._console.print(text, highlight=False)

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()
