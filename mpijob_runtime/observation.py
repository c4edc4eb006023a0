"""What was seen of a launch: all that a diagnosis is made of.

Layer: pure data; imports records.
"""

import signal as signals
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mpijob_runtime.records import RankRecord

OUTSIDE = "outside of the plan"
"""What a proof that could not be had says where mpirun was told to use other hosts."""

StopKind = Literal[
    "misplaced", "missing program", "lost host", "host ending", "hung", "stalled", "slow end", "bug"
]


@dataclass(frozen=True, slots=True)
class Stop:
    """Why we ended a job.

    Attributes:
        kind: the reason.
        detail: what was found, for people; the host for one that was lost or is ending.
        rank: the rank that it is about, or None.
    """

    kind: StopKind
    detail: str
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen of a launch that started mpirun.

    Attributes:
        mpirun_code: mpirun's exit code as a shell gives it.
        mpirun_signal: number of the signal that ended mpirun itself, or None.
        signals: ending signals that the launcher was sent, in order.
        records: what the ranks' wrappers wrote.
        hosts: host -> the ranks that started there.
        world_size: ranks asked for, or None where mpirun's own arguments say it.
        recorded: whether each rank was to leave records.
        proof: ``proved`` or ``unproved: why``, about where the ranks are; None if not known.
        stop: why we ended the job, or None if we did not.
        lost_hosts: hosts whose connection broke while the job ran.
        last_words: rank -> the last it wrote, for ranks that failed.
        mpirun_said: the last that mpirun itself wrote.
        major: the generation of Open MPI.
        arguments: a user's own mpirun line; empty where ``launch`` wrote it.
        daemons_ended: host -> exit code of Open MPI's daemon there, as far as one has ended.
        phases_seconds: ``wait`` and ``run`` so far.
        opened_seconds: from mpirun's start until all ranks were let through the gate, or None.
        own_ranks: that ranks are on the launcher itself by the user's own wish, or empty.
    """

    mpirun_code: int
    mpirun_signal: int | None
    signals: Sequence[signals.Signals]
    records: Sequence[RankRecord]
    hosts: Mapping[str, Sequence[int]]
    world_size: int | None
    recorded: bool
    proof: str | None
    stop: Stop | None
    lost_hosts: Sequence[str]
    last_words: Mapping[int, str]
    mpirun_said: str
    major: int
    arguments: Sequence[str]
    daemons_ended: Mapping[str, int]
    phases_seconds: Mapping[str, float]
    opened_seconds: float | None
    own_ranks: str = ""

    @property
    def ranks_started(self) -> int:
        """How many ranks have told that they are there."""
        return sum(len(placed) for placed in self.hosts.values())

    @property
    def ranks_expected(self) -> int | None:
        """How many ranks there were to be: as asked, else as the ranks themselves were told."""
        told = (record.world_size for record in self.records if record.world_size > 0)
        return self.world_size or max(told, default=None)
