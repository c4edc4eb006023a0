"""Which operator started this container, and what it gave.

Sources: mpi-operator v0.8.2 ``pkg/controller/mpi_job_controller.go`` (the launcher's and the
workers' variables, the hostfile's mount).

Layer: pure; imports nothing of ours.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Role = Literal["launcher", "worker"]

HOSTFILE = "/etc/mpi/hostfile"
"""Where every Kubeflow operator mounts the launcher's hostfile."""

ROLE_VARIABLE = "K_MPI_JOB_ROLE"

_LAUNCHER_VARIABLES = (
    "OMPI_MCA_orte_keep_fqdn_hostnames",
    "OMPI_MCA_orte_default_hostfile",
    "OMPI_MCA_plm_rsh_args",
    "OMPI_MCA_orte_set_default_slots",
    "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES",
)
_HOSTFILE_VARIABLE = "OMPI_MCA_orte_default_hostfile"
_SLOTS_VARIABLE = "OMPI_MCA_orte_set_default_slots"


@dataclass(frozen=True, slots=True)
class Operator:
    """What an operator gave this container.

    Attributes:
        name: the operator, for people; ``none`` without evidence of one.
        role: what this container is to do, or None if nothing says so.
        hostfile: path of the hostfile that the operator mounts, or None.
        default_slots: slots of a host whose line gives none.
        variables: names of variables that the operator set, not the user.
    """

    name: str
    role: Role | None
    hostfile: str | None
    default_slots: int
    variables: frozenset[str]

    @property
    def present(self) -> bool:
        """Whether there is evidence of an operator at all."""
        return self.name != "none"


def recognise_operator(environ: Mapping[str, str], *, hostfile_exists: bool) -> Operator:
    """Tell which operator gave this environment.

    Args:
        environ: the container's environment.
        hostfile_exists: whether ``/etc/mpi/hostfile`` is there; a fact, so not asked here.
    """
    if environ.get(ROLE_VARIABLE) == "worker":
        return Operator("mpi-operator v2beta1", "worker", None, 1, frozenset({ROLE_VARIABLE}))
    given = environ.get(_HOSTFILE_VARIABLE)
    if environ.get(ROLE_VARIABLE) == "launcher" or given or hostfile_exists:
        names = {ROLE_VARIABLE, *_LAUNCHER_VARIABLES} & environ.keys()
        hostfile = given or HOSTFILE
        return Operator(_name(environ), "launcher", hostfile, _slots(environ), frozenset(names))
    return Operator("none", None, None, 1, frozenset())


def _name(environ: Mapping[str, str]) -> str:
    return "mpi-operator v2beta1" if ROLE_VARIABLE in environ else "unknown operator"


def _slots(environ: Mapping[str, str]) -> int:
    text = environ.get(_SLOTS_VARIABLE, "")
    return max(1, int(text)) if re.fullmatch("[0-9]{1,6}", text) else 1
