"""The table of defaults: each variable that we set for mpirun, when, why and on whose word.

A row never overrides what the user set; it does override what the operator set, because an
operator cannot know which Open MPI is in the image.

Layer: pure data; imports facts.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mpijob_runtime.facts import Facts

Condition = Callable[[Facts], bool]


@dataclass(frozen=True, slots=True)
class Default:
    """One variable that mpirun gets.

    Attributes:
        name: the variable.
        value: its value; ``{hostfile}``, ``{rsh}`` and ``{rank_wrapper}`` stand
            for paths that the plan fills in.
        why: one sentence.
        source: documentation, code or measurement that supports it.
        major: the Open MPI generation it is for, or None for all.
        applies: whether these facts ask for it.
        condition: ``applies`` in words, for the documentation.
    """

    name: str
    value: str
    why: str
    source: str
    major: int | None = None
    applies: Condition = lambda _facts: True
    condition: str = "always"


def _as_root(facts: Facts) -> bool:
    return facts.user.uid == 0


def _without_rdma(facts: Facts) -> bool:
    return not facts.system.rdma_devices


def _with_wrapper(facts: Facts) -> bool:
    return facts.rank_wrapper is not None


def _ptrace_restricted(facts: Facts) -> bool:
    return facts.system.ptrace_scope > 0


def _without_tmp(facts: Facts) -> bool:
    return not facts.system.writable_tmp


_HOSTFILE_WHY = "the hosts of the job, one spelling for every Open MPI"
_AGENT_WHY = "daemons start over the logins that readiness was proved with, by our ssh settings"
_TREE_WHY = "all daemons start from the launcher, so that workers need no way into each other"
_WRAPPER_WHY = "sets torch's variables and records each rank's start and end"
_BIND_WHY = "data loader threads of a rank must not share one core"
_TMP_WHY = "the usual place for temporary files is full or cannot be written"
_OB1_WHY = "no RDMA device here: plain TCP and shared memory, without UCX's probing"
_CMA_WHY = "Yama forbids ranks to read each other's memory; without this each start warns"

DEFAULTS: tuple[Default, ...] = (
    Default(
        "OMPI_MCA_orte_default_hostfile",
        "{hostfile}",
        _HOSTFILE_WHY,
        "orte/runtime/orte_mca_params.c",
        major=4,
    ),
    Default(
        "OMPI_MCA_orte_keep_fqdn_hostnames",
        "true",
        "pods are known by their full names",
        "mpi-operator v0.8.2, launcher environment",
        major=4,
    ),
    Default(
        "OMPI_MCA_plm_rsh_agent",
        "{rsh}",
        _AGENT_WHY,
        "orte/mca/plm/rsh/plm_rsh_component.c",
        major=4,
    ),
    Default("OMPI_MCA_plm_rsh_no_tree_spawn", "1", _TREE_WHY, "open-mpi/ompi#4578", major=4),
    Default(
        "OMPI_MCA_orte_fork_agent",
        "{rank_wrapper}",
        _WRAPPER_WHY,
        "orte/runtime/orte_mca_params.c",
        major=4,
        applies=_with_wrapper,
        condition="the wrapper is installed",
    ),
    Default(
        "OMPI_MCA_hwloc_base_binding_policy",
        "none",
        _BIND_WHY,
        "horovod/horovod#95, open-mpi/ompi#7157",
        major=4,
    ),
    Default(
        "OMPI_MCA_btl_vader_single_copy_mechanism",
        "none",
        _CMA_WHY,
        "open-mpi/ompi#4948",
        major=4,
        applies=_ptrace_restricted,
        condition="Yama's ptrace_scope is above 0",
    ),
    Default(
        "OMPI_MCA_orte_tmpdir_base",
        "/dev/shm",  # noqa: S108 - session directories are made below it, mode 0700
        _TMP_WHY,
        "orte/runtime/orte_mca_params.c",
        major=4,
        applies=_without_tmp,
        condition="TMPDIR is full or cannot be written",
    ),
    Default(
        "PRTE_MCA_prte_default_hostfile",
        "{hostfile}",
        _HOSTFILE_WHY + "; Open MPI 5 does not read the operators' ORTE names",
        "kubeflow/mpi-operator#842; measured with 5.0.11",
        major=5,
    ),
    Default(
        "PRTE_MCA_prte_keep_fqdn_hostnames",
        "false",
        "with full names PRRTE does not see that a host is the launcher itself",
        "kubeflow/trainer#4028; measured with 5.0.11",
        major=5,
    ),
    Default(
        "PRTE_MCA_plm_ssh_agent",
        "{rsh}",
        _AGENT_WHY,
        "prrte src/mca/plm/ssh/plm_ssh_component.c",
        major=5,
    ),
    Default("PRTE_MCA_plm_ssh_no_tree_spawn", "1", _TREE_WHY, "openpmix/prrte#479", major=5),
    Default(
        "PRTE_MCA_odls_base_exec_agent",
        "{rank_wrapper}",
        _WRAPPER_WHY,
        "measured with 5.0.11",
        major=5,
        applies=_with_wrapper,
        condition="the wrapper is installed",
    ),
    Default(
        "PRTE_MCA_hwloc_default_binding_policy",
        "none",
        _BIND_WHY,
        "horovod/horovod#95, open-mpi/ompi#7157",
        major=5,
    ),
    Default(
        "OMPI_MCA_smsc",
        "^cma",
        _CMA_WHY,
        "open-mpi/ompi#4948",
        major=5,
        applies=_ptrace_restricted,
        condition="Yama's ptrace_scope is above 0",
    ),
    Default(
        "PRTE_MCA_prte_tmpdir_base",
        "/dev/shm",  # noqa: S108 - session directories are made below it, mode 0700
        _TMP_WHY,
        "prrte src/runtime/prte_mca_params.c",
        major=5,
        applies=_without_tmp,
        condition="TMPDIR is full or cannot be written",
    ),
    Default(
        "TMPDIR",
        "/dev/shm",  # noqa: S108 - as above; PMIx knows no other way
        _TMP_WHY,
        "openpmix src/mca/ptl/base",
        applies=_without_tmp,
        condition="TMPDIR is full or cannot be written",
    ),
    Default(
        "OMPI_MCA_pml",
        "ob1",
        _OB1_WHY,
        "docs.open-mpi.org, networking/tcp",
        applies=_without_rdma,
        condition="no device under /sys/class/infiniband",
    ),
    Default(
        "OMPI_ALLOW_RUN_AS_ROOT",
        "1",
        "root in a container is an ordinary user; mpirun refuses without it",
        "docs.open-mpi.org, running-as-root",
        applies=_as_root,
        condition="the user is root",
    ),
    Default(
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM",
        "1",
        "the second half of the same permission",
        "docs.open-mpi.org, running-as-root",
        applies=_as_root,
        condition="the user is root",
    ),
)
"""In the order in which ``plan`` prints them."""


def defaults_for(major: int, facts: Facts) -> tuple[Default, ...]:
    """Return the rows that hold for an Open MPI generation and these facts."""
    return tuple(row for row in DEFAULTS if row.major in (None, major) and row.applies(facts))
