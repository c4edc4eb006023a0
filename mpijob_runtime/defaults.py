"""The tables of defaults: each variable that we set, when, why and on whose word.

``DEFAULTS`` are mpirun's, decided by what the launcher's container shows. ``RANK_DEFAULTS`` are
the ranks', decided at the gate by what their hosts show. A row never overrides what the user set;
it does override what the operator set for mpirun, because an operator cannot know which Open MPI
is in the image.

Layer: pure data; imports facts.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mpijob_runtime.facts import Facts, RankFacts

Condition = Callable[[Facts], bool]
RankCondition = Callable[[RankFacts], bool]


@dataclass(frozen=True, slots=True)
class Default:
    """One variable that mpirun gets.

    Attributes:
        name: the variable.
        value: its value; ``{hostfile}``, ``{rsh}`` and ``{rank_wrapper}`` stand
            for paths that the plan fills in, ``{binding}`` for ``none`` or what ``--bind-to`` asks.
        why: one sentence.
        source: documentation, code or measurement that supports it.
        major: the Open MPI generation it is for, or None for all.
        since: the first version that knows the variable, where that is not the generation's.
        applies: whether these facts ask for it.
        condition: ``applies`` in words, for the documentation.
    """

    name: str
    value: str
    why: str
    source: str
    major: int | None = None
    since: str = ""
    applies: Condition = lambda _facts: True
    condition: str = "always"


def _as_root(facts: Facts) -> bool:
    return facts.user.uid == 0


def _with_wrapper(facts: Facts) -> bool:
    return facts.rank_wrapper is not None


def _several_networks(facts: Facts) -> bool:
    return facts.control_interface is not None


def _ptrace_restricted(facts: Facts) -> bool:
    return facts.system.ptrace_scope > 0


def _without_tmp(facts: Facts) -> bool:
    return not facts.system.writable_tmp


_HOSTFILE_WHY = "the hosts of the job, one spelling for every Open MPI"
_AGENT_WHY = "daemons start over the logins that readiness was proved with, by our ssh settings"
_TREE_WHY = "all daemons start from the launcher, so that workers need no way into each other"
_WRAPPER_WHY = "sets torch's variables and records each rank's start and end"
_BIND_WHY = "threads of a rank must not share one core: the gate binds where they do not"
_TMP_WHY = "the usual place for temporary files is full or cannot be written"
_OOB_WHY = "of several networks, daemons use the one that has this host's own name"
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
        "{binding}",
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
        "OMPI_MCA_oob_tcp_if_include",
        "{control_interface}",
        _OOB_WHY,
        "orte/mca/oob/tcp/oob_tcp_component.c",
        major=4,
        applies=_several_networks,
        condition="this container has several networks",
    ),
    Default(
        "OMPI_MCA_osc",
        "^monitoring",
        "Debian leaves out what one-sided windows need over TCP; this is Open MPI's own choice",
        "Debian's openmpi-mca-params.conf; open-mpi/ompi#11466; measured with 4.1.4",
        major=4,
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
        "PRTE_MCA_prte_leave_session_attached",
        "1",
        "a daemon that crashes is then seen to: detached ones end with 255 whatever it was",
        "measured with 5.0.11",
        major=5,
    ),
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
        "{binding}",
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
        "PRTE_MCA_prte_if_include",
        "{control_interface}",
        _OOB_WHY,
        "prrte src/runtime/prte_mca_params.c",
        major=5,
        applies=_several_networks,
        condition="this container has several networks",
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


@dataclass(frozen=True, slots=True)
class RankDefault:
    """One variable that ranks get which have none of that name.

    Attributes:
        name: the variable.
        value: its value; ``{interface}`` is the data network's on the rank's host and
            ``{threads}`` the rank's share of processors.
        since: the first version that knows the variable.
        condition: when it is set, in words.
        applies: whether a rank's facts ask for it.
        why: one sentence.
        source: documentation, code or report that supports it.
        unless: variables that, if the rank has one, speak against it.
    """

    name: str
    value: str
    since: str
    condition: str
    applies: RankCondition
    why: str
    source: str
    unless: tuple[str, ...] = ()


def _always(_facts: RankFacts) -> bool:
    return True


def _with_network(facts: RankFacts) -> bool:
    return facts.interface is not None


def _over_ipv6(facts: RankFacts) -> bool:
    return facts.interface is not None and facts.family == 6  # noqa: PLR2004 - IPv6


def _without_devices(facts: RankFacts) -> bool:
    return not facts.rdma_seen


def _without_usable_devices(facts: RankFacts) -> bool:
    return not facts.rdma_usable


def _with_usable_devices_everywhere(facts: RankFacts) -> bool:
    return facts.rdma_everywhere


def _crowded(facts: RankFacts) -> bool:
    return facts.crowded


def _with_gpus(facts: RankFacts) -> bool:
    return facts.gpus > 0


def _network_without_devices(facts: RankFacts) -> bool:
    return facts.interface is not None and not facts.rdma_seen


_NCCL_ENV = "docs.nvidia.com, NCCL user guide, environment variables"
_WORKS = "the network was found to work between all hosts"

RANK_DEFAULTS: tuple[RankDefault, ...] = (
    RankDefault(
        "NCCL_DEBUG",
        "WARN",
        "NCCL 2.3 or before",
        "always",
        _always,
        "without it NCCL ends with an error and does not say which",
        _NCCL_ENV,
    ),
    RankDefault(
        "NCCL_SOCKET_IFNAME",
        "={interface}",
        "NCCL 2.5",
        _WORKS,
        _with_network,
        "exact, because a bare name is a prefix: eth1 is eth10, too",
        _NCCL_ENV + "; src/misc/utils.cc; NVIDIA/nccl#1580",
    ),
    RankDefault(
        "NCCL_SOCKET_FAMILY",
        "AF_INET6",
        "NCCL 2.3 or before",
        "only IPv6 works between all hosts",
        _over_ipv6,
        "NCCL takes IPv4 first where an interface has both",
        _NCCL_ENV,
        unless=("NCCL_SOCKET_IFNAME",),
    ),
    RankDefault(
        "NCCL_IB_DISABLE",
        "1",
        "NCCL 2.3 or before",
        "no host has a device under /sys/class/infiniband",
        _without_devices,
        "all ranks know from the start that there is none to look for",
        _NCCL_ENV,
    ),
    RankDefault(
        "CUDA_DEVICE_ORDER",
        "PCI_BUS_ID",
        "CUDA 7.0",
        "the host has GPUs",
        _with_gpus,
        "CUDA's numbers are then those of MPIJOB_GPU, of NVML and of nvidia-smi",
        "docs.nvidia.com, CUDA programming guide, environment variables",
    ),
    RankDefault(
        "GLOO_SOCKET_IFNAME",
        "{interface}",
        "torch 1.0",
        _WORKS,
        _with_network,
        "Gloo takes what the host's own name resolves to, which may be loopback",
        "docs.pytorch.org, torch.distributed; aws-samples/aws-do-eks#69",
    ),
    RankDefault(
        "HOROVOD_GLOO_IFACE",
        "{interface}",
        "Horovod 0.17",
        _WORKS,
        _with_network,
        "the same for Horovod's own Gloo",
        "horovod/common/utils/env_parser.cc",
    ),
    RankDefault(
        "UCX_NET_DEVICES",
        "{interface}",
        "UCX 1.0 or before",
        "that, and no host has a device under /sys/class/infiniband",
        _network_without_devices,
        "the same for UCX; with RDMA devices its own choice stands",
        "openucx.readthedocs.io, frequently asked questions",
    ),
    RankDefault(
        "OMPI_MCA_btl_tcp_if_include",
        "{interface}",
        "Open MPI 1.8 or before",
        _WORKS,
        _with_network,
        "Open MPI stripes over all networks, and hangs on one that leads nowhere",
        "docs.open-mpi.org, networking/tcp",
        unless=("OMPI_MCA_btl_tcp_if_exclude",),
    ),
    RankDefault(
        "OMPI_MCA_pml",
        "ob1",
        "Open MPI 1.8 or before",
        "no host has an RDMA device that its container may open",
        _without_usable_devices,
        "plain TCP and shared memory, without UCX's probing",
        "docs.open-mpi.org, networking/tcp",
    ),
    RankDefault(
        "OMPI_MCA_pml",
        "^monitoring",
        "Open MPI 1.8 or before",
        "every host has an RDMA device that its container may open",
        _with_usable_devices_everywhere,
        "Open MPI's own choice, UCX for InfiniBand and RoCE: Debian's 4.1 leaves UCX out",
        "Debian's openmpi-mca-params.conf; docs.open-mpi.org, networking/ib-and-roce",
    ),
    RankDefault(
        "OMPI_MCA_osc",
        "^ucx",
        "Open MPI 1.8 or before",
        "no host has an RDMA device that its container may open",
        _without_usable_devices,
        "one-sided windows over TCP: UCX, if asked, complains on every rank of Open MPI 5",
        "open-mpi/ompi#11466; measured with 5.0.11",
        unless=("OMPI_MCA_pml",),
    ),
    RankDefault(
        "OMPI_MCA_mpi_yield_when_idle",
        "1",
        "Open MPI 1.8 or before",
        "the host has more ranks than processors",
        _crowded,
        "a rank that waits gives its processor up: Open MPI sees the machine's, cgroup or not",
        "docs.open-mpi.org, tuning-apps/oversubscribing",
    ),
    RankDefault(
        "OMP_NUM_THREADS",
        "{threads}",
        "OpenMP 1.0",
        "always",
        _always,
        "the container's processors over its ranks: OpenMP counts the machine's, cgroup or not",
        "openmp.org, OMP_NUM_THREADS; horovod/horovod#2739",
    ),
)
"""In the order in which ``plan`` prints them."""


def defaults_for(major: int, facts: Facts) -> tuple[Default, ...]:
    """Return the rows that hold for an Open MPI generation and these facts."""
    return tuple(row for row in DEFAULTS if row.major in (None, major) and row.applies(facts))


def rank_defaults_for(facts: RankFacts) -> tuple[RankDefault, ...]:
    """Return the rows that hold for a rank with these facts."""
    return tuple(row for row in RANK_DEFAULTS if row.applies(facts))
