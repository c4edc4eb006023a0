"""The fence: a host takes part in a new attempt only once nothing of an older one is left.

Other jobs of our launcher are no leftovers. Those that began before us are named by the launcher,
as far as they live; those that begin after us have newer ids, whenever they come to this host.

Layer: effects (processes).
"""

from __future__ import annotations

from mpijob_runtime import carried, processes

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
        is at work here: then it is we who are left over. Agents are not counted: one without
        ranks is about to end by itself.
    """
    kept = {attempt, *keep}
    launcher = attempt.split("-")[1:2]
    counted: set[int] = set()

    def older() -> list[int]:
        there = processes.attempts(run_dir)
        found = [pid for pid, its in there.items() if its < attempt and its not in kept]
        counted.update(pid for pid in found if processes.name_of(pid) != carried.AGENT_NAME)
        return found

    there = set(processes.attempts(run_dir).values()) - kept
    newer = [found for found in there if found > attempt and found.split("-")[1:2] != launcher]
    if newer:
        return 0, max(newer)
    processes.end(older, within_seconds=within_seconds)
    return len(counted), None
