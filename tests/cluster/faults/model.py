"""What a fault is, what is expected of it, and what a trial found.

Layer: pure; imports nothing of ours.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faults.live import LiveJob

TIMEOUT_SECONDS = 8
"""MPIJOB_TIMEOUT of every job here: how long hosts may take to come."""

GRACE_SECONDS = 5
STALL_SECONDS = 8


Words = tuple[tuple[str, ...], ...]
"""Groups of words, of each of which one must be said."""


class Moment(StrEnum):
    """When a fault happens."""

    BEFORE = "before the start"
    START = "during the start"
    RUN = "in the run"


@dataclass(frozen=True, slots=True)
class Shape:
    """How the job is laid out.

    Attributes:
        workers: one rank runs on each.
        seconds: how long the program runs if nothing ends it.
        mpi: ranks exchange messages all the time; else each works alone.
        memory: the workers' memory limit.
        read_only: the root file system of all pods.
        small_tmp: /tmp is a volume of one mebibyte.
        attempts: how often the launcher may run.
        restarts: a worker that fails is restarted by the kubelet.
    """

    workers: int = 3
    seconds: float = 60
    mpi: bool = False
    memory: str = ""
    read_only: bool = False
    small_tmp: bool = False
    attempts: int = 1
    restarts: bool = False
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Aim:
    """Whom a fault hits.

    Attributes:
        index: the worker, and the rank on it.
        random: for what else is left to chance.
    """

    index: int
    random: Random

    def other(self, workers: int) -> int:
        """Return the next worker, for faults that hit two."""
        return (self.index + 1) % workers


@dataclass(frozen=True, slots=True)
class Expected:
    """What must come of a fault.

    Attributes:
        codes: exit codes of the launcher.
        outcomes: ``outcome`` in the report; empty if there can be no report.
        says: each group needs one of its words in the report's verdict; ``{host}``, ``{rank}``,
            ``{other}`` (a second host) and ``{other_rank}`` are filled in.
        within_seconds: from the fault to the launcher's end.
        noticed_within_seconds: from the fault to the first line that names the cause; None where
            nothing is to be noticed before the end.
        clean_seconds: from the launcher's end until its processes are gone everywhere.
    """

    codes: tuple[int, ...]
    outcomes: tuple[str, ...]
    says: Words = ()
    within_seconds: float = 20
    noticed_within_seconds: float | None = None
    clean_seconds: float = 10


Strike = Callable[["LiveJob", Aim], Callable[[], None] | None]
"""Does the fault; what it returns is called once the job has been let go."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the catalogue.

    Attributes:
        name: as in ``--fault``, and part of the job's name.
        kind: the class that it belongs to.
        text: what is done, for the table.
        bare: there is something to compare under plain mpirun.
    """

    name: str
    kind: str
    text: str
    moment: Moment
    strike: Strike
    expected: Expected
    shape: Shape = Shape()
    bare: bool = True


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen of one job.

    Attributes:
        exit_code: the launcher's, or None if it had not ended by the limit.
        outcome: of the report, or empty without one.
        verdict: the report's words; of plain mpirun all that it printed since the fault.
        noticed_seconds: from the fault to the first line that names what is expected.
        ended_seconds: from the fault to the launcher's end.
        clean_seconds: from that end until nothing was left on the workers.
        left: what was still there, processes first, then containers and networks.
        problem: why the fault could not be done at all.
    """

    exit_code: int | None
    outcome: str = ""
    verdict: str = ""
    noticed_seconds: float | None = None
    ended_seconds: float | None = None
    clean_seconds: float | None = None
    left: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """One trial, as a line of the results' file.

    Attributes:
        run: number of the repetition; with the fault, the MPI and the mode it is the seed.
        hit: index of the worker.
        moment_seconds: random delay of the fault within its moment.
        wrong: what was not as expected; empty if all was.
        load: of the machine, when the trial began.
        image: id of the image: results of another are those of other code.
        printed: the end of what was printed, kept if something was wrong.
    """

    fault: str
    open_mpi: str
    bare: bool
    run: int
    hit: int
    moment_seconds: float
    exit_code: int | None
    outcome: str
    verdict: str
    noticed_seconds: float | None
    ended_seconds: float | None
    clean_seconds: float | None
    wrong: tuple[str, ...]
    load: float
    image: str = ""
    printed: str = ""

    @property
    def key(self) -> tuple[str, str, bool, int]:
        """What tells trials apart."""
        return (self.fault, self.open_mpi, self.bare, self.run)

    @property
    def hung(self) -> bool:
        """The launcher did not end; nothing to do with a fault that could not be done."""
        return self.exit_code is None and not self.undone

    @property
    def undone(self) -> bool:
        """The fault could not be done."""
        return any(it.startswith("not done") for it in self.wrong)
