"""The command line of mpirun: one short class per MPI generation.

What every rank and daemon needs is set by environment (environ.py), so that the shims can leave
a user's command line alone; only what ``launch`` itself was asked for stands here.

Layer: pure; imports errors and facts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mpijob_runtime.errors import ConfigurationError
from mpijob_runtime.facts import MpiFacts


@dataclass(frozen=True, slots=True)
class OpenMpi:
    """Open MPI 4.1 (run-time layer ORTE) and 5.0 (PRRTE): the same command line serves both.

    They differ in variables only; see defaults.py.
    """

    mpirun: str
    major: int

    def argv(self, *, ranks: int, program: Sequence[str]) -> tuple[str, ...]:
        """Return the command that starts ``ranks`` ranks, hosts filled in their order."""
        return (self.mpirun, "-n", str(ranks), "--map-by", "slot", *program)


_DRIVEN = (4, 5)


def select_mpi(facts: MpiFacts | None) -> OpenMpi:
    """Return the class for the MPI that was found.

    Raises:
        ConfigurationError: if there is none, or one that this package does not drive.
    """
    if facts is None:
        raise ConfigurationError(
            "no mpirun: found none on PATH that answers, wanted Open MPI 4.1 or 5.0",
            remedy="run `mpirun --version` here: it says what is wrong; "
            "install Open MPI, or name one with MPIJOB_MPIRUN",
        )
    if facts.name == "Open MPI" and facts.major in _DRIVEN:
        return OpenMpi(facts.mpirun, facts.major)
    raise ConfigurationError(
        f"{facts.mpirun}: found {facts.name} {facts.version}, wanted Open MPI 4.1 or 5.0",
        remedy="use an mpijob-runtime image, or name another mpirun with MPIJOB_MPIRUN",
    )
