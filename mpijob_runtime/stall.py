"""Notices that a job makes no progress, and asks the ranks what they are doing.

Progress is a step counter that ranks write into ``$MPIJOB_PROGRESS_FILE``. Where no rank does,
it is output, or processor time of any rank; MPI's ranks burn processor time while they wait, so
for them only a step counter tells. A program that is stopped (SIGSTOP) is no progress either way.

Layer: effects (clock); imports console, output, settings, stacks, watch.
"""

import re
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mpijob_runtime.console import Console
from mpijob_runtime.output import RankOutput
from mpijob_runtime.settings import Settings
from mpijob_runtime.stacks import RankStack, describe_stacks
from mpijob_runtime.watch import HostWatch, tell_all

_SHARE, _LONGEST_SAMPLE_SECONDS = 10, 5.0
_IDLE_CPU_SHARE = 0.005
_STACKS_SECONDS = 15.0
_ABORT_SECONDS = 2.0
_MOST_SECONDS = 1e12
_NUMBER = re.compile(r"\d{1,9}", re.ASCII)


@dataclass(slots=True)
class _Progress:
    """What one rank has shown."""

    cpu_seconds: float = 0.0
    step: str = ""
    stopped: bool = False
    worked_at: float = 0.0
    step_at: float = 0.0


@dataclass(slots=True)
class _Capture:
    """Stacks that have been asked for."""

    began: float
    stacks: dict[int, RankStack] = field(default_factory=dict)
    told: str = ""
    aborted_at: float | None = None


class StallWatch:
    """Watches the ranks' progress if ``--stall-timeout`` asks for it.

    Args:
        watches: the hosts' agents.
        settings: what was asked.
        output: tells when a rank wrote last.
        console: where to say what was found.
    """

    def __init__(
        self,
        watches: Sequence[HostWatch],
        settings: Settings,
        output: RankOutput,
        console: Console,
    ) -> None:
        self._watches = watches
        self._limit_seconds = settings.stall_timeout_seconds
        self._fails = settings.stall_action == "fail"
        self._output = output
        self._console = console
        self._ranks: dict[int, _Progress] = {}
        self._since = float("inf")
        self._sample_seconds = 0.0
        self._daemons: dict[str, list[str]] = {}
        self._capture: _Capture | None = None

    def start(self) -> None:
        """The ranks run from now on."""
        if not self._limit_seconds:
            return
        self._since = time.monotonic()
        self._sample_seconds = min(_LONGEST_SAMPLE_SECONDS, self._limit_seconds / _SHARE)
        tell_all(self._watches, do="sample", seconds=self._sample_seconds)

    def note(self, host: str, event: Mapping[str, object]) -> None:
        """Take a sample of a host's ranks, or a rank's stacks."""
        now = time.monotonic()
        if event.get("event") == "stacks":
            if self._capture is not None and isinstance(rank := event.get("rank"), int):
                how, text = str(event.get("how")), str(event.get("text"))
                self._capture.stacks[rank] = RankStack(rank, host, how, text)
            return
        stopped = event.get("stopped")
        self._daemons[host] = [str(name) for name in stopped] if isinstance(stopped, list) else []
        ranks = event.get("ranks")
        for rank, sample in ranks.items() if isinstance(ranks, Mapping) else ():
            match sample:
                case [int() | float() as cpu, str() as step, str() as state] if (
                    0 <= cpu < _MOST_SECONDS and _NUMBER.fullmatch(str(rank))
                ):
                    self._take(int(rank), cpu, step, state, now)

    def _take(self, rank: int, cpu: float, step: str, state: str, now: float) -> None:
        seen = self._ranks.setdefault(rank, _Progress(worked_at=now, step_at=now))
        if cpu - seen.cpu_seconds > _IDLE_CPU_SHARE * self._sample_seconds:
            seen.worked_at = now
        if step != seen.step:
            seen.step_at = now
        seen.cpu_seconds, seen.step, seen.stopped = cpu, step, state == "T"

    def check(self, now: float, *, ended: int, started: int) -> tuple[str | None, bool]:
        """Return what stalled, if the job is to fail for it, and whether it is time to end it."""
        if not self._limit_seconds or (ended >= started and self._capture is None):
            return None, False
        if self._capture is None:
            if now - self._last_progress() > self._limit_seconds:
                self._ask(now)
            return None, False
        return self._judge(self._capture, now)

    def _last_progress(self) -> float:
        ranks = self._ranks.values()
        steps = [seen.step_at for seen in ranks if seen.step]
        if steps:
            return max(self._since, *steps)
        stopped = [seen.worked_at for seen in ranks if seen.stopped]
        if stopped:
            return max(self._since, *stopped)
        worked = (seen.worked_at for seen in ranks)
        return max(self._since, self._output.last_seconds, *worked)

    def _ask(self, now: float) -> None:
        limit = self._limit_seconds
        self._console.warning(f"no progress for {limit:.0f} s: asking the ranks for their stacks")
        self._capture = _Capture(now)
        tell_all(self._watches, do="stacks")

    def _judge(self, capture: _Capture, now: float) -> tuple[str | None, bool]:
        complete = len(capture.stacks) >= len(self._ranks)
        if not complete and now - capture.began < _STACKS_SECONDS:
            return None, False
        if not capture.told:
            self._tell(capture, now)
        if not self._fails:
            self._capture, self._since = None, now
            return None, False
        return capture.told, capture.aborted_at is None or now - capture.aborted_at > _ABORT_SECONDS

    def _tell(self, capture: _Capture, now: float) -> None:
        """Say what was found; where py-spy told nothing, let faulthandler answer a SIGABRT."""
        stopped = {rank for rank, seen in self._ranks.items() if seen.stopped}
        silent = set(self._ranks) - capture.stacks.keys()
        stacks = list(capture.stacks.values())
        daemons = [f"{name} on {host}" for host, names in self._daemons.items() for name in names]
        capture.told = describe_stacks(stacks, stopped=stopped, silent=silent, daemons=daemons)
        self._console.error(capture.told)
        if self._fails and not any(stack.how == "py-spy" for stack in stacks):
            capture.aborted_at = now
            tell_all(self._watches, do="signal", number=int(signal.SIGABRT))
