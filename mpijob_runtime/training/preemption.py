"""The launcher's word that the job is to end, made one step at which all ranks stop.

The word comes as SIGUSR1, then SIGTERM, or as the file ``$MPIJOB_PREEMPTION_FILE``, to each host
at its own moment: ranks that acted on their own would stop at different steps, and the next
all-reduce of gradients would wait for ever. So the word is reduced over all ranks.

Layer: effects (signals, files); imports agreement, errors, world.
"""

import os
import signal
import threading
from collections.abc import Callable, Mapping
from types import FrameType, TracebackType
from typing import NoReturn, Self

from mpijob_runtime import carried
from mpijob_runtime.errors import ConfigurationError
from mpijob_runtime.training.agreement import (
    Alone,
    GlooGroup,
    Reduction,
    Result,
    has_process_group,
)
from mpijob_runtime.training.places import places
from mpijob_runtime.training.world import world

PREEMPTED_CODE = 75
"""How a rank ends that has saved its work before its end (sysexits: try again)."""

_SIGNALS = (signal.SIGUSR1, signal.SIGTERM)
_Handler = Callable[[int, FrameType | None], object] | int


class Preemption:
    """One agreed step at which all ranks save and end.

        with Preemption() as preemption:
            for step, batch in enumerate(loader):
                …
                if preemption.agreed(step):
                    save()
                    preemption.end()

    An all-reduce that one call of ``agreed`` begins is read by the next, so it runs beside a
    whole step and its latency is hidden; the price is that ranks stop one or two steps after
    the word, twice ``every`` at most.

    How much time is left is not told: the launcher knows, ranks do not.

    Args:
        every: ask the other ranks at each so many calls only; equal on all ranks.
        reduction: how ranks agree; by default a Gloo group beside torch.distributed's, or
            nothing in a single process. Made on all ranks at the same point.
        environ: the rank's environment; this process's by default.

    Raises:
        ValueError: if ``every`` is below 1.
        ConfigurationError: if there are several ranks and no process group yet, or if neither a
            signal nor a file can bring the word.
    """

    def __init__(
        self,
        *,
        every: int = 1,
        reduction: Reduction | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        if every < 1:
            raise ValueError(f"every: found {every}, wanted a whole number from 1")
        self._every = every
        self._file = places(environ).preemption_file
        self._told = False
        self._agreed = False
        self._calls = 0
        self._pending: Result | None = None
        self._pid = os.getpid()
        self._reduction = _reduction(world(environ).size) if reduction is None else reduction
        self._closed = False
        self._former = self._take_signals()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._pending = None  # other ranks may be gone: wait for nobody
        self.close()

    def agreed(self, step: int) -> bool:
        """Tell whether all ranks are to save now and end; the same answer on all ranks.

        Call it on all ranks, at the same steps.

        Args:
            step: the step's number, to notice ranks that are at different ones.

        Raises:
            RuntimeError: if ranks are at different steps or have different ``every``.
        """
        self._calls += 1
        if self._agreed or self._calls % self._every:
            return self._agreed
        if self._pending is not None:
            self._agreed = self._read(self._pending)
            self._pending = None
        if not self._agreed:
            self._pending = self._reduction.start(self._words(step))
        return self._agreed

    def end(self) -> NoReturn:
        """End this process as preempted, once all ranks have come here.

        mpirun ends the others when the first rank has ended: none ends while one still saves.

        Raises:
            SystemExit: with code 75, which tells schedulers and ``launch`` to try again.
        """
        self._reduction.start(self._words(0))()
        self.close()
        raise SystemExit(PREEMPTED_CODE)

    def close(self) -> None:
        """Give the signals back to who had them; more calls do nothing."""
        if self._closed:
            return
        self._closed = True
        for number, former in self._former.items():
            signal.signal(number, former)
        if self._pending is not None:
            self._pending()
        self._reduction.close()

    def _words(self, step: int) -> tuple[int, ...]:
        """Return what is reduced: the word, and numbers whose extremes must be equal."""
        told = self._told or (self._file is not None and os.path.exists(self._file))
        return int(told), step, -step, self._every, -self._every

    def _read(self, pending: Result) -> bool:
        told, last, first, most, least = pending()
        if last != -first:
            raise RuntimeError(
                f"Preemption.agreed: ranks are at different steps, found {-first} to {last}; "
                "call it on all ranks at the same steps"
            )
        if most != -least:
            raise RuntimeError(
                f"Preemption: found every={-least} on one rank and every={most} on another, "
                "wanted the same on all ranks"
            )
        return bool(told)

    def _take_signals(self) -> dict[int, _Handler]:
        """Handle the launcher's signals, and return who did before; only the main thread can."""
        if threading.current_thread() is threading.main_thread():
            return {n: signal.signal(n, self._on_signal) or signal.SIG_DFL for n in _SIGNALS}
        if self._file is None:
            raise ConfigurationError(
                "Preemption in a thread: signals reach the main thread only, and there is no "
                f"${carried.PREEMPTION_FILE} to look for",
                remedy="make it in the main thread, or start the job by mpijob-runtime launch",
            )
        return {}

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if os.getpid() == self._pid:
            self._told = True
            return
        signal.signal(number, self._former[number])  # a child process ends as it would have
        os.kill(os.getpid(), number)


def _reduction(size: int) -> Reduction:
    if has_process_group():
        return GlooGroup()
    if size == 1:
        return Alone()
    raise ConfigurationError(
        f"Preemption: found {size} ranks and no process group, wanted one to agree by",
        remedy="call init_process_group() before, or give a reduction of your own",
    )
