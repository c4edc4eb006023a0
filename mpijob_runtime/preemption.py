"""The gentle end of a job: SIGUSR1 to who handles it, SIGTERM, SIGKILL, within one grace.

mpirun is told last: its own SIGTERM becomes SIGKILL within a second (open-mpi/ompi#12149), and
the first rank that ends makes it kill the others. So the agents signal the ranks, and their
wrappers stay until all programs have ended.

Layer: effects (clock); imports agent (the shares of the grace), console, watch.
"""

import signal
import time
from collections.abc import Mapping, Sequence

from mpijob_runtime.agent.grace import term_seconds
from mpijob_runtime.console import Console
from mpijob_runtime.watch import HostWatch, tell_all

_ANSWER_SECONDS = 2.0
_LEAVE_SECONDS = 5.0
"""How long mpirun may take to end by itself; a SIGTERM meanwhile can crash 4.1.4 (measured)."""


class Preemption:
    """Ends all ranks within a grace.

    Args:
        watches: the hosts' agents.
        grace_seconds: between the first word and SIGKILL.
        console: where to say what happens.
    """

    def __init__(
        self, watches: Sequence[HostWatch], grace_seconds: float, console: Console
    ) -> None:
        self._watches = watches
        self._grace_seconds = grace_seconds
        self._console = console
        self._began: float | None = None
        self._answered: set[str] = set()
        self._warned: set[int] = set()
        self._ended: set[int] = set()
        self._termed = False
        self._killed = False
        self._all_ended: float | None = None

    @property
    def started(self) -> bool:
        """Whether the end has begun."""
        return self._began is not None

    def start(self) -> None:
        """Warn the ranks that handle SIGUSR1; the flag file says it to all others."""
        if self._began is not None:
            return
        self._began = time.monotonic()
        tell_all(self._watches, do="warn")

    def note_warned(self, host: str, event: Mapping[str, object]) -> None:
        """Take an agent's word of which ranks have been warned there."""
        ranks = event.get("ranks")
        self._answered.add(host)
        self._warned |= (
            {r for r in ranks if isinstance(r, int)} if isinstance(ranks, list) else set()
        )

    def note_ended(self, rank: int) -> None:
        """A rank's program has ended."""
        self._ended.add(rank)

    def note_all_ended(self) -> None:
        """Every rank's program has ended."""
        if self._began is not None and self._all_ended is None:
            self._all_ended = time.monotonic()
            tell_all(self._watches, do="release")

    def act(self, now: float) -> bool:
        """Do what is due, and return whether it is mpirun's turn to end."""
        if self._began is None:
            return False
        passed = now - self._began
        if not self._termed and passed >= self._term_after(passed):
            self._termed = True
            tell_all(self._watches, do="signal", number=int(signal.SIGTERM))
        if not self._killed and passed >= self._grace_seconds:
            self._killed = True
            self._console.warning("the grace is over: killing the ranks that are left")
            tell_all(self._watches, do="kill")
        if self._all_ended is not None:
            return now - self._all_ended >= _LEAVE_SECONDS
        return passed >= self._grace_seconds + _LEAVE_SECONDS

    def _term_after(self, passed: float) -> float:
        """Return when SIGTERM is due: once no rank that was warned is still at work."""
        answered = len(self._answered) >= len([w for w in self._watches if not w.lost])
        if self._warned <= self._ended and (answered or passed >= _ANSWER_SECONDS):
            return passed
        return self._grace_seconds - term_seconds(self._grace_seconds)
