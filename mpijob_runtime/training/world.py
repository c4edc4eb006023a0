"""Who this process is among all ranks, from the variables of whatever started it.

Which variables, and where they are documented:

    torchrun   RANK WORLD_SIZE LOCAL_RANK LOCAL_WORLD_SIZE GROUP_RANK (pytorch.org, elastic/run)
    Open MPI   OMPI_COMM_WORLD_RANK …_SIZE …_LOCAL_RANK …_LOCAL_SIZE (docs.open-mpi.org,
               tuning-apps/environment-var). …_NODE_RANK is not the node's index but this rank's
               among all ranks of the node, so it is not read.
    Hydra      PMI_RANK PMI_SIZE MPI_LOCALRANKID MPI_LOCALNRANKS (MPICH, Intel MPI)
    Slurm      SLURM_PROCID SLURM_STEP_NUM_TASKS SLURM_LOCALID SLURM_NODEID
               SLURM_STEP_TASKS_PER_NODE (srun(1), output environment)
    PMIx       PMIX_RANK only: the size is known to PMIx_Get, not to the environment
    launcher   MPIJOB_HOSTS MPIJOB_NODE_RANK MPIJOB_GPU (mpijob-runtime launch)

Layer: training; the one place of it that reads the environment; imports errors only.
"""

import os
import re
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import NamedTuple

from mpijob_runtime.errors import WorldError

_HOSTS, _NODE_RANK, _GPU = "MPIJOB_HOSTS", "MPIJOB_NODE_RANK", "MPIJOB_GPU"
_MOST_DIGITS = 9


@dataclass(frozen=True, slots=True)
class World:
    """A rank's place among all ranks of a job.

    Attributes:
        rank: from 0 to ``size - 1``, over all hosts.
        size: how many ranks the job has.
        local_rank: from 0, among the ranks on this host.
        local_size: how many ranks there are on this host.
        node_rank: index of this rank's host, in ``hosts`` where those are known; None if nothing
            says so (mpirun without ``mpijob-runtime launch`` does not, on several hosts).
        hosts: names, ordered by the first rank on each; empty if nothing says so.
        launcher: whose variables were taken: ``torchrun``, ``openmpi``, ``hydra``, ``torch`` (its
            variables, set by somebody else), ``slurm``, or ``none`` for a single process.
        gpu: index of the GPU that the launcher chose for this rank; None if it chose none.
        master: whether all ranks know where rank 0 can be met (MASTER_ADDR and MASTER_PORT).
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    node_rank: int | None
    hosts: tuple[str, ...]
    launcher: str
    gpu: int | None = None
    master: bool = False


class _Names(NamedTuple):
    """The variables of one launcher."""

    rank: str
    size: str = ""
    local_rank: str = ""
    local_size: str = ""


_TORCH = _Names("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
_OPEN_MPI = _Names(*(f"OMPI_COMM_WORLD_{n}" for n in ("RANK", "SIZE", "LOCAL_RANK", "LOCAL_SIZE")))
_HYDRA = _Names("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS")
_SLURM = _Names(
    "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE"
)
_NOBODY = _Names("")
_LAUNCHERS = {
    "torchrun": _TORCH,
    "openmpi": _OPEN_MPI,
    "hydra": _HYDRA,
    "torch": _TORCH,
    "slurm": _SLURM,
}
_SIGNS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("torchrun", ("TORCHELASTIC_RUN_ID",)),
    ("openmpi", _OPEN_MPI),
    ("hydra", (_HYDRA.local_rank, _HYDRA.local_size)),
    ("torch", _TORCH),
    ("slurm", (_SLURM.size,)),
    ("hydra", (_HYDRA.rank, _HYDRA.size)),  # after Slurm, whose PMI-2 sets these as well
    ("pmix", ("PMIX_RANK",)),
)
"""Whose variables count is the first of which one of these is set."""

_TASKS = re.compile(r"(\d{1,9})(?:\(x(\d{1,9})\))?", re.ASCII)
"""Slurm's count of tasks on a node, or on each of so many nodes: ``4`` or ``4(x2)``."""


def process_environ() -> MutableMapping[str, str]:
    """Return this process's environment: everything of training/ that needs it asks here."""
    return os.environ


def world(environ: Mapping[str, str] | None = None) -> World:
    """Return this process's place among all ranks.

    The launcher that is nearest to the process is believed, in this order:

    1. torchrun (TORCHELASTIC_RUN_ID is set): it may itself run under mpirun or srun, once a node.
    2. Open MPI, then Hydra. Torch's variables, which a wrapper may have added, must agree; so
       must PMIX_RANK with Open MPI, which sets it.
    3. Torch's variables alone, as Kubernetes operators and scripts set them.
    4. Slurm, inside a step of srun only: a batch script sees SLURM_PROCID=0 and SLURM_NTASKS=8
       and is still one process. An allocation around mpirun is not looked at.
    5. None of them: a single process.

    Args:
        environ: the environment to read; this process's own if None.

    Raises:
        WorldError: variables contradict each other, are no numbers, or only some of a launcher's
            are there. It is a ValueError, too.
    """
    environ = process_environ() if environ is None else environ
    launcher = _launcher(environ)
    names = _LAUNCHERS.get(launcher, _NOBODY)
    rank, size, local_rank, local_size = _place(environ, names)
    _check_place(environ, names, (rank, size, local_rank, local_size))
    if launcher in ("openmpi", "hydra"):
        _check_agreement(environ, names, _TORCH)
    if launcher == "openmpi":
        _check_agreement(environ, names, _Names("PMIX_RANK"))
    hosts = tuple(name for name in environ.get(_HOSTS, "").split(",") if name)
    node_rank = _node_rank(environ, launcher)
    if node_rank is None and local_size == size:
        node_rank = 0
    if hosts and environ.get(_NODE_RANK) and _number(environ, _NODE_RANK) >= len(hosts):
        raise _contradiction(environ, _NODE_RANK, _HOSTS)
    return World(
        *(rank, size, local_rank, local_size),
        node_rank=node_rank,
        hosts=hosts,
        launcher=launcher,
        gpu=_number(environ, _GPU) if environ.get(_GPU) else None,
        master=bool(environ.get("MASTER_ADDR") and environ.get("MASTER_PORT")),
    )


def _launcher(environ: Mapping[str, str]) -> str:
    """Return whose variables count; ``none`` if there are none."""
    found = (launcher for launcher, signs in _SIGNS if any(name in environ for name in signs))
    launcher = next(found, "none")
    if launcher == "pmix":
        shown = _shown(environ, ["PMIX_RANK"])
        message = f"found {shown} alone, wanted the number of ranks: PMIx has no variable for it"
        raise WorldError(message, remedy="set " + ", ".join(_TORCH))
    return launcher


def _place(environ: Mapping[str, str], names: _Names) -> tuple[int, int, int, int]:
    """Return rank, size, local rank and local size."""
    if names is _NOBODY:
        return 0, 1, 0, 1
    missing = [name for name in names if name not in environ]
    if not {names.rank, names.size} & {*missing} and _number(environ, names.size) == 1:
        missing = []
        environ = {names.local_rank: "0", names.local_size: "1", **environ}
    if missing:
        found = _shown(environ, [name for name in names if name in environ])
        message = f"found {found}, wanted {', '.join(missing)} as well"
        raise WorldError(message, remedy="set all of them, or none for a single process")
    local_size = _slurm_local_size if names is _SLURM else _number
    return (
        _number(environ, names.rank),
        _number(environ, names.size),
        _number(environ, names.local_rank),
        local_size(environ, names.local_size),
    )


def _check_place(
    environ: Mapping[str, str], names: _Names, place: tuple[int, int, int, int]
) -> None:
    """Refuse numbers that cannot be true together."""
    rank, size, local_rank, local_size = place
    if rank >= size:
        raise _contradiction(environ, names.rank, names.size)
    if local_rank >= local_size:
        raise _contradiction(environ, names.local_rank, names.local_size)
    if local_size > size:
        raise _contradiction(environ, names.local_size, names.size)
    if local_rank > rank:
        raise _contradiction(environ, names.local_rank, names.rank)


def _check_agreement(environ: Mapping[str, str], names: _Names, others: _Names) -> None:
    """Refuse another launcher's variable, where it is set, that says something else."""
    for name, other in zip(names, others, strict=True):
        if other in environ and _number(environ, other) != _number(environ, name):
            raise _contradiction(environ, other, name)


def _node_rank(environ: Mapping[str, str], launcher: str) -> int | None:
    """Return what says this rank's host's index; None if nothing does."""
    by_launcher = {"torchrun": "GROUP_RANK", "slurm": "SLURM_NODEID"}
    names = (_NODE_RANK, by_launcher.get(launcher, ""))
    return next((_number(environ, name) for name in names if environ.get(name)), None)


def _slurm_local_size(environ: Mapping[str, str], name: str) -> int:
    """Return the number of tasks on this node, from Slurm's list for all: ``4(x2),3``."""
    node = _number(environ, "SLURM_NODEID") if "SLURM_NODEID" in environ else 0
    first = 0
    for part in environ[name].split(","):
        match = _TASKS.fullmatch(part.strip())
        if match is None:
            raise WorldError(f"found {_shown(environ, [name])}, wanted numbers as in 4(x2),3")
        first += int(match[2] or 1)
        if node < first:
            return int(match[1])
    raise _contradiction(environ, "SLURM_NODEID", name)


def _number(environ: Mapping[str, str], name: str) -> int:
    text = environ[name].strip()
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise WorldError(f"found {_shown(environ, [name])}, wanted a whole number from 0")
    return int(text)


def _contradiction(environ: Mapping[str, str], *names: str) -> WorldError:
    message = f"these cannot both be true: {_shown(environ, names)}"
    remedy = "unset what was left over or set by hand: a launcher sets all of its own"
    return WorldError(message, remedy=remedy)


def _shown(environ: Mapping[str, str], names: Iterable[str]) -> str:
    return " and ".join(f"{name}={environ.get(name, '')!r:.80}" for name in names)
