"""What people see: our progress on stderr, the pods' output on stdout and stderr.

The only module that uses rich, together with the tables in ``cli``.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from mpijob_local.logs import LogLine

_PALETTE = (36, 33, 35, 32, 34, 96, 93, 95, 92, 94)
"""SGR codes of the foreground colours that read well on dark and light; red is for errors."""


def make_console(*, coloured: bool, stderr: bool = True) -> Console:
    """Return a console that colours only where it is wanted and seen."""
    return Console(stderr=stderr, no_color=not coloured, highlight=False, soft_wrap=True)


@dataclass(slots=True)
class Reporter:
    """Tells the progress of a run, one line per change.

    Attributes:
        console: where to.
        quiet: say only what is wrong.
    """

    console: Console
    quiet: bool = False
    _started: float = field(default_factory=time.monotonic)

    @property
    def elapsed_seconds(self) -> float:
        """Time since the reporter was made."""
        return time.monotonic() - self._started

    def step(self, text: str) -> None:
        """Say what has just been done."""
        if not self.quiet:
            self.console.print(f"[dim]{self._clock()}[/] {escape(text)}")

    def warn(self, text: str) -> None:
        """Say what the user should know, also when quiet."""
        self.console.print(f"[yellow]{self._clock()} warning:[/] {escape(text)}")

    def conclude(self, text: str, *, good: bool) -> None:
        """Say how the run ended."""
        if not self.quiet:
            style = "bold green" if good else "bold red"
            self.console.print(f"[dim]{self._clock()}[/] [{style}]{escape(text)}[/]")

    @contextmanager
    def counting(self, text: str, total: int) -> Iterator[Callable[[], None]]:
        """Count up to the total: a bar on a terminal, one line at the end elsewhere."""
        if self.quiet or not self.console.is_terminal:
            yield lambda: None
        else:
            columns = (TextColumn(text), BarColumn(), MofNCompleteColumn())
            with Progress(*columns, console=self.console, transient=True) as progress:
                task = progress.add_task(text, total=total)
                yield lambda: progress.advance(task)
        self.step(f"{text} {total}/{total}")

    def _clock(self) -> str:
        return escape(f"[{self.elapsed_seconds:6.1f} s]")


@dataclass(slots=True)
class LogPrinter:
    """Prints whole lines of the pods, each behind the name of its host.

    Attributes:
        width: the longest name, so that the lines stand in a column.
        coloured: colour the names on streams that are terminals.
        bare: no names; for the output of a single pod.
        stdout, stderr: replaceable for tests.
    """

    width: int
    coloured: bool
    bare: bool = False
    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)
    _colours: dict[str, int] = field(default_factory=dict)

    def write(self, name: str, line: LogLine) -> None:
        """Print one line on the stream on which the pod wrote it."""
        target = self.stderr if line.stream == "stderr" else self.stdout
        target.write(f"{self._prefix(name, target)}{line.text}\n")

    def flush(self) -> None:
        """Let the lines out."""
        self.stdout.flush()
        self.stderr.flush()

    def _prefix(self, name: str, target: TextIO) -> str:
        if self.bare:
            return ""
        text = f"{name:{self.width}} | "
        if not (self.coloured and target.isatty()):
            return text
        code = self._colours.setdefault(name, _PALETTE[len(self._colours) % len(_PALETTE)])
        # The first reset ends what the line before may have left on.
        return f"\x1b[0m\x1b[{code}m{text}\x1b[0m"
