"""The outcome of a launch: what came of it, in JSON and in words.

Layer: pure; imports hosts.
"""

import signal as signals
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from mpijob_runtime.hosts import short_name
from mpijob_runtime.lists import SHOWN_ITEMS, format_rest

Result = Literal["succeeded", "failed", "preempted", "not_started"]

TRY_AGAIN_CODE = 75
"""What an outcome ends with that is worth a retry."""

MOST_BYTES = 4096
"""Kubernetes keeps this much of a termination log."""

_SHOWN_HOSTS = 16


@dataclass(frozen=True, slots=True)
class FirstFailure:
    """The rank that failed first.

    Attributes:
        rank: its number.
        host: where it ran.
        exit_code: its exit code, or None if a signal ended it.
        signal: number of that signal, or None.
        cause: one sentence.
        evidence: what supports the cause, a sentence each.
    """

    rank: int | None
    host: str | None
    exit_code: int | None
    signal: int | None
    cause: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a launch.

    Attributes:
        outcome: the result; the authority, while exit codes are hints.
        exit_code: what the launcher ends with.
        reason: one sentence, or more lines for an error.
        first_failure: who failed first, or None.
        ranks_started: how many ranks are known to have started.
        world_size: how many there were to be, or None if nothing told.
        hosts: host -> the ranks that started there; every host of the plan is in it.
        spread: ``proved``, ``disproved`` or ``unproved: why``, about where ranks are; None if no
            rank was to start.
        network: the data network that the ranks were given, or None if none was found.
        nccl: what is known of NCCL in this job, first in ``words``; None if there was none.
        phases_seconds: ``wait``, ``start`` and ``run``, as far as the job came.
    """

    outcome: Result
    exit_code: int
    reason: str
    first_failure: FirstFailure | None = None
    ranks_started: int = 0
    world_size: int | None = None
    hosts: Mapping[str, Sequence[int]] = field(default_factory=dict)
    spread: str | None = None
    network: Mapping[str, object] | None = None
    nccl: Mapping[str, object] | None = None
    phases_seconds: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """Return the outcome as plain data."""
        data = asdict(self)
        data["hosts"] = [{"name": n, "ranks": list(r)} for n, r in self.hosts.items()]
        data["phases_seconds"] = {k: round(v, 3) for k, v in self.phases_seconds.items()}
        return data


def describe_exit(exit_code: int | None, signal: int | None) -> str:
    """Return ``exit code 3`` or ``signal 9 (SIGKILL)``."""
    if signal is None:
        return f"exit code {exit_code}"
    try:
        return f"signal {signal} ({signals.Signals(signal).name})"
    except ValueError:
        return f"signal {signal}"


def format_outcome(outcome: Outcome) -> str:
    """Return the outcome for people, first the result, 4,096 bytes at most."""
    lines = [f"{outcome.outcome.replace('_', ' ')}: {outcome.reason}"]
    failure = outcome.first_failure
    if failure is not None:
        lines += [f"  {sentence}" for sentence in failure.evidence]
    if outcome.ranks_started:
        size = outcome.world_size or outcome.ranks_started
        if outcome.outcome != "succeeded" or outcome.ranks_started != size:
            used = sum(1 for ranks in outcome.hosts.values() if ranks)
            on = count(used, "host")
            lines.append(f"  {outcome.ranks_started} of {count(size, 'rank')} started on {on}")
        lines += _host_lines(outcome.hosts)
    if outcome.nccl is not None:
        lines.append(f"  {outcome.nccl['words']}")
    if outcome.phases_seconds:
        phases = ", ".join(f"{name} {s:.1f} s" for name, s in outcome.phases_seconds.items())
        lines.append(f"  phases: {phases}")
    return cut_text("\n".join(lines) + "\n").decode()


def _host_lines(hosts: Mapping[str, Sequence[int]]) -> list[str]:
    shown = list(hosts.items())[:_SHOWN_HOSTS]
    width = max(len(short_name(name)) for name, _ in shown)
    lines = []
    for name, ranks in shown:
        text = format_ranks(ranks) if ranks else "no rank"
        lines.append(f"    {short_name(name):<{width}}  {text}")
    if len(hosts) > _SHOWN_HOSTS:
        lines.append(f"    … and {len(hosts) - _SHOWN_HOSTS} more hosts")
    return lines


def count(number: int, noun: str) -> str:
    """Return ``1 host`` or ``8 hosts``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def format_ranks(ranks: Sequence[int]) -> str:
    """Return ``rank 3``, ``ranks 0-3,6`` or ``ranks 0,2,4,6,8,10,12,14 … and 56 more``."""
    if len(ranks) == 1:
        return f"rank {ranks[0]}"
    spans: list[list[int]] = []
    for rank in sorted(ranks):
        if spans and rank == spans[-1][1] + 1:
            spans[-1][1] = rank
        else:
            spans.append([rank, rank])
    texts = (str(a) if a == b else f"{a}-{b}" for a, b in spans[:SHOWN_ITEMS])
    shown = sum(b - a + 1 for a, b in spans[:SHOWN_ITEMS])
    return f"ranks {','.join(texts)}{format_rest(len(ranks), shown)}"


def cut_text(text: str) -> bytes:
    """Return a text as UTF-8, no more than a termination log holds, with no character cut."""
    data = text.encode(errors="backslashreplace")
    if len(data) <= MOST_BYTES:
        return data
    ending = "…\n".encode()
    whole = data[: MOST_BYTES - len(ending)].decode(errors="ignore")
    return whole.encode() + ending
