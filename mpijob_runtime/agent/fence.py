"""The fence: a host takes part in a new attempt only once nothing of an older one is left.

Layer: effects (processes).
"""

from __future__ import annotations

from mpijob_runtime import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def fence(
    attempt: str, keep: Iterable[str], *, run_dir: str, within_seconds: float
) -> tuple[int, str | None]:
    """End what older attempts have left on this host.

    Args:
        attempt: our id: its time, its launcher, and letters, with dashes between.
        keep: ids of other jobs that this very launcher runs.
        run_dir: the host's private directory; jobs with another one are not ours to end.
        within_seconds: how long what is found has to end after SIGTERM.

    Returns:
        How many processes were ended, and the id of a newer attempt of another launcher, if one
        is at work here: then it is we who are left over.
    """
    kept = {attempt, *keep}
    launcher = attempt.split("-")[1:2]

    def older() -> list[int]:
        return [p for p, found in processes.attempts(run_dir).items() if found not in kept]

    there = set(processes.attempts(run_dir).values())
    newer = sorted(found for found in there - kept if found > attempt)
    ours = [found for found in newer if found.split("-")[1:2] == launcher]
    kept |= set(ours)
    others = [found for found in newer if found not in ours]
    if others:
        return 0, others[-1]
    return len(processes.end(older, within_seconds=within_seconds)), None
