"""Which operator started this container, and what it gave.

One small function for each operator, in the order of the certainty of its signs. Sources:
mpi-operator v0.8.2 ``pkg/controller/mpi_job_controller.go``; Kubeflow Trainer 8c0f505
``pkg/runtime/framework/plugins/mpi/mpi.go``; training-operator 1.9
``pkg/controller.v1/mpi/mpijob_controller.go``; Volcano ed72c7c
``pkg/controllers/job/plugins/distributed-framework/mpi`` and ``plugins/svc``.

Layer: pure; imports nothing of ours.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

Role = Literal["launcher", "worker"]
Transport = Literal["ssh", "exec"]

HOSTFILE = "/etc/mpi/hostfile"
"""Where every Kubeflow operator mounts the launcher's hostfile."""

DISCOVER_HOSTS = "/etc/mpi/discover_hosts.sh"
"""Where mpi-operator mounts the script that prints the running workers."""

ROLE_VARIABLE = "K_MPI_JOB_ROLE"
VOLCANO_HOSTS = "MPI_HOST"
"""Volcano's comma list of hosts, in the master alone."""

_HOSTFILE_VARIABLE = "OMPI_MCA_orte_default_hostfile"
_SLOTS_VARIABLE = "OMPI_MCA_orte_set_default_slots"
_AGENT_VARIABLE = "OMPI_MCA_plm_rsh_agent"
_HYDRA_HOSTFILES = {"I_MPI_HYDRA_HOST_FILE": "Intel", "HYDRA_HOST_FILE": "MPICH"}
"""Variables that name the hostfile of another MPI -> that MPI as ``mpiImplementation`` has it."""

_GPU_VARIABLES = frozenset({"NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"})

_TRAINER_VARIABLES = frozenset(
    {
        "OMPI_MCA_orte_keep_fqdn_hostnames",
        _HOSTFILE_VARIABLE,
        "OMPI_MCA_plm_rsh_args",
        _SLOTS_VARIABLE,
    }
)
_MPI_OPERATOR_VARIABLES = (
    _TRAINER_VARIABLES
    | _GPU_VARIABLES
    | {
        ROLE_VARIABLE,
        *_HYDRA_HOSTFILES,
        "I_MPI_HYDRA_BOOTSTRAP_EXEC_EXTRA_ARGS",
        "I_MPI_PERHOST",
        "HYDRA_LAUNCH_EXTRA_ARGS",
    }
)
_KUBEXEC = "/etc/mpi/kubexec.sh"
_TRAINING_OPERATOR_VARIABLES = _GPU_VARIABLES | {
    _AGENT_VARIABLE,
    _HOSTFILE_VARIABLE,
    "I_MPI_HYDRA_BOOTSTRAP",
    "I_MPI_HYDRA_BOOTSTRAP_EXEC",
}
_VOLCANO_VARIABLE = re.compile(r"VC_[A-Z0-9_]+_(HOSTS|NUM)")


@dataclass(frozen=True, slots=True)
class Operator:
    """What an operator gave this container.

    Attributes:
        name: the operator, for people; ``none`` without evidence of one.
        role: what this container is to do, or None if nothing says so.
        hostfile: path of the hostfile that the operator mounts, or None.
        default_slots: slots of a host whose line gives none.
        variables: names of variables that the operator set, not the user.
        host_list: hosts as text, where they are given by a variable, or None.
        transport: how it means the launcher to reach the workers.
        implementation: the MPI that its hostfile and variables are for, as ``mpiImplementation``.
    """

    name: str
    role: Role | None
    hostfile: str | None
    default_slots: int
    variables: frozenset[str]
    host_list: str | None = None
    transport: Transport = "ssh"
    implementation: str = "OpenMPI"

    @property
    def present(self) -> bool:
        """Whether there is evidence of an operator at all."""
        return self.name != "none"


_NONE = Operator("none", None, None, 1, frozenset())


def recognise_operator(
    environ: Mapping[str, str], *, hostfile_exists: bool, program: str = ""
) -> Operator:
    """Tell which operator gave this environment.

    Args:
        environ: the container's environment.
        hostfile_exists: whether ``/etc/mpi/hostfile`` is there; a fact, so not asked here.
        program: what the container runs: ``sshd`` makes a worker where no variable says so.
    """
    signs = (_mpi_operator, _training_operator, _trainer, _volcano)
    found = next((it for sign in signs if (it := sign(environ))), None)
    if found is None:
        found = _by_hostfile(environ, hostfile_exists=hostfile_exists)
    if program == "sshd" and found.role != "worker":
        name = found.name if found.present else "unknown operator"
        return replace(found, name=name, role="worker", hostfile=None, host_list=None)
    return found


def _mpi_operator(environ: Mapping[str, str]) -> Operator | None:
    """Look for the role, which only mpi-operator v2beta1 gives."""
    name = "mpi-operator v2beta1"
    role = environ.get(ROLE_VARIABLE)
    if role == "worker":
        return Operator(name, "worker", None, 1, frozenset({ROLE_VARIABLE}))
    if role != "launcher":
        return None
    given = [name for name in (_HOSTFILE_VARIABLE, *_HYDRA_HOSTFILES) if environ.get(name)]
    return Operator(
        name,
        "launcher",
        environ[given[0]] if given else HOSTFILE,
        _slots(environ),
        _set(environ, _MPI_OPERATOR_VARIABLES),
        implementation=_HYDRA_HOSTFILES.get(given[0], "OpenMPI") if given else "OpenMPI",
    )


def _training_operator(environ: Mapping[str, str]) -> Operator | None:
    """Look for the agent that reaches workers by ``kubectl exec``."""
    if environ.get(_AGENT_VARIABLE) != _KUBEXEC:
        return None
    return Operator(
        "training-operator v1",
        "launcher",
        environ.get(_HOSTFILE_VARIABLE) or HOSTFILE,
        1,
        _set(environ, _TRAINING_OPERATOR_VARIABLES),
        transport="exec",
    )


def _trainer(environ: Mapping[str, str]) -> Operator | None:
    """Look for Open MPI's four variables, all of them, without a role."""
    if not environ.keys() >= _TRAINER_VARIABLES:
        return None
    hostfile = environ[_HOSTFILE_VARIABLE] or HOSTFILE
    return Operator(
        "Kubeflow Trainer v2", "launcher", hostfile, _slots(environ), _TRAINER_VARIABLES
    )


def _volcano(environ: Mapping[str, str]) -> Operator | None:
    """Look for the variables of Volcano's svc plugin; its mpi plugin names the hosts."""
    names = frozenset(filter(_VOLCANO_VARIABLE.fullmatch, environ))
    if not names:
        return None
    hosts = environ.get(VOLCANO_HOSTS)
    if not hosts:
        return Operator("Volcano", None, None, 1, names)
    return Operator("Volcano", "launcher", None, 1, names | {VOLCANO_HOSTS}, host_list=hosts)


def _by_hostfile(environ: Mapping[str, str], *, hostfile_exists: bool) -> Operator:
    """Take a mounted or named hostfile for the work of an operator that we do not know."""
    given = environ.get(_HOSTFILE_VARIABLE)
    if not given and not hostfile_exists:
        return _NONE
    hostfile = given or HOSTFILE
    names = _set(environ, _MPI_OPERATOR_VARIABLES)
    return Operator("unknown operator", "launcher", hostfile, _slots(environ), names)


def _set(environ: Mapping[str, str], names: frozenset[str]) -> frozenset[str]:
    return names & environ.keys()


def _slots(environ: Mapping[str, str]) -> int:
    text = environ.get(_SLOTS_VARIABLE, "")
    return max(1, int(text)) if re.fullmatch("[0-9]{1,6}", text) else 1
