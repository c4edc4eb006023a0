"""Stacks of ranks, grouped: what most do is usual, and who is elsewhere is a candidate.

Layer: pure; imports outcome for words.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mpijob_runtime.lists import format_list
from mpijob_runtime.outcome import format_ranks

_FRAME = re.compile(r"^\s+(?P<function>\S+) \((?P<place>[^)]*)\)", re.MULTILINE)
_SHOWN_LINES = 12
_SHOWN_GROUPS = 4
_KEY_FRAMES = 3


@dataclass(frozen=True, slots=True)
class RankStack:
    """What one rank was doing.

    Attributes:
        rank: its number.
        host: where it runs.
        how: ``py-spy`` or ``kernel``.
        text: the stack, for people.
    """

    rank: int
    host: str
    how: str
    text: str

    @property
    def key(self) -> str:
        """What ranks in the same place have in common."""
        if self.how != "py-spy":
            return re.sub(r"process \d+", "process", self.text)
        frames = [f"{m['function']} ({m['place']})" for m in _FRAME.finditer(self.text)]
        return " < ".join(frames[:_KEY_FRAMES])


def describe_stacks(
    stacks: Sequence[RankStack],
    *,
    stopped: Collection[int],
    silent: Collection[int],
    daemons: Sequence[str] = (),
) -> str:
    """Return the groups for people, the smallest first, and which rank is a candidate.

    Args:
        stacks: what the ranks were doing.
        stopped: ranks whose program is stopped by a signal.
        silent: ranks of which nothing was learned.
        daemons: MPI's own processes that are stopped by a signal, with their hosts.
    """
    groups: dict[str, list[RankStack]] = {}
    for stack in sorted(stacks, key=lambda s: s.rank):
        groups.setdefault(stack.key, []).append(stack)
    ordered = sorted(groups.values(), key=len)
    lines = ["stalled: the job makes no progress"]
    if stopped:
        lines.append(f"  stopped by a signal (SIGSTOP): {format_ranks(sorted(stopped))}")
    if daemons:
        lines.append(f"  stopped by a signal (SIGSTOP): {format_list(daemons)}")
    if silent:
        lines.append(f"  no answer from: {format_ranks(sorted(silent))}")
    lines += _candidate(ordered, stopped, silent)
    for group in ordered[:_SHOWN_GROUPS]:
        first = group[0]
        who = format_ranks([stack.rank for stack in group])
        lines.append(f"  {who}, by {first.how} of rank {first.rank} on {first.host}:")
        lines += [f"    {line}" for line in first.text.strip().splitlines()[:_SHOWN_LINES]]
    if len(ordered) > _SHOWN_GROUPS:
        lines.append(f"  … and {len(ordered) - _SHOWN_GROUPS} more places")
    return "\n".join(lines)


def _candidate(
    groups: Sequence[Sequence[RankStack]], stopped: Collection[int], silent: Collection[int]
) -> list[str]:
    """Name the outlier, as a candidate: that it waits elsewhere does not prove that it is why."""
    named = sorted(stopped) or sorted(silent)
    if not named and len(groups) > 1 and len(groups[0]) < len(groups[-1]):
        named = [stack.rank for stack in groups[0]]
    if not named:
        return ["  no rank stands out: the cause is unknown"]
    return [f"  candidate: {format_ranks(named)} (elsewhere than the others; no proof)"]
