"""The environment of mpirun, each variable with where it comes from and why.

Layer: pure; imports bind_to, defaults, facts, hosts, settings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from mpijob_runtime import carried
from mpijob_runtime.bind_to import POLICY_VARIABLES, Binding
from mpijob_runtime.defaults import defaults_for
from mpijob_runtime.facts import Facts
from mpijob_runtime.hosts import Hostfile
from mpijob_runtime.mpirun_output import OutputPlan
from mpijob_runtime.settings import Settings, matching_variables

Source = Literal["user", "operator", "probed", "default"]

DECIDED_AT_LAUNCH = "decided at launch"

_ORTE = 4
_RADIX = 64
_CONCURRENT = 128
_PRRTE_CONCURRENT = "PRTE_MCA_plm_ssh_num_concurrent"
_PRRTE_ATTACHED = "PRTE_MCA_prte_leave_session_attached"

GAPS = (
    *("NCCL_*", "UCX_*", "FI_*", "GLOO_*", "TORCH_*", "HOROVOD_*", "OMP_*", "MKL_*"),
    *("CUDA_DEVICE_ORDER", "CUDA_LAUNCH_BLOCKING", "PYTHONFAULTHANDLER", "PYTHONUNBUFFERED"),
    *("MPIJOB_METRICS_*", "MPIJOB_JOB_NAME"),
)
"""Variables of the launcher that ranks get which have none of that name: what people set for a
whole job on its launcher, and no more."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of mpirun's environment.

    Attributes:
        value: its value, or None if only the launch decides it.
        source: whose word it is.
        why: one sentence.
    """

    value: str | None
    source: Source
    why: str


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the private files of a launcher or a worker lie.

    Attributes:
        run_dir: the directory for all of them, mode 0700.
        hosts_mark: tells apart the hosts of jobs that run at a time.
    """

    run_dir: str
    hosts_mark: str = ""

    @property
    def hostfile(self) -> str:
        """The normalised copy of the hosts."""
        return f"{self.run_dir}/hostfile{self.hosts_mark and '-'}{self.hosts_mark}"

    @property
    def ssh_config(self) -> str:
        """The configuration for ssh(1)."""
        return f"{self.run_dir}/ssh_config"

    @property
    def known_hosts(self) -> str:
        """The authority for host keys that is accepted."""
        return f"{self.run_dir}/known_hosts"

    @property
    def key(self) -> str:
        """The private copy of the job's key."""
        return f"{self.run_dir}/id"

    @property
    def host_key(self) -> str:
        """A worker's own key, made at its start."""
        return f"{self.run_dir}/host_key"

    @property
    def host_certificate(self) -> str:
        """The job's word for that key; ssh-keygen chooses the name."""
        return f"{self.host_key}-cert.pub"


def assemble_environ(  # noqa: PLR0913 - all that was decided before
    settings: Settings,
    facts: Facts,
    hosts: Hostfile,
    output: OutputPlan,
    *,
    major: int,
    paths: Paths,
    binding: Binding,
) -> dict[str, Variable]:
    """Return the variables that this package decides, over the environment it was given.

    Args:
        settings: what was asked.
        facts: what this container shows.
        hosts: the job's hosts; the first is taken for rank 0's.
        output: what becomes of the ranks' output.
        major: the Open MPI generation.
        paths: where private files lie.
        binding: who binds ranks.
    """
    variables = _defaults(settings, facts, major=major, paths=paths, binding=binding)
    if major == 5:  # noqa: PLR2004 - the generation
        variables |= _operator_ssh_arguments(settings)
    variables |= _for_many_hosts(settings, hosts, major=major)
    variables |= _carried(settings, hosts, output)
    variables[carried.INSIDE] = Variable("1", "default", "a shim inside the job is the plain one")
    return variables


def decide_for_attempt(
    variables: Mapping[str, Variable], attempt: str, number: int
) -> dict[str, Variable]:
    """Return the variables with what differs between jobs that one launcher runs at a time.

    Args:
        variables: as planned.
        attempt: the id of this start.
        number: the lowest that no other job of this launcher has now.
    """
    decided = {carried.ATTEMPT: Variable(attempt, "default", "this start's id")}
    port = variables[carried.MASTER_PORT]
    if port.source == "default" and port.value is not None:
        decided[carried.MASTER_PORT] = replace(port, value=str(int(port.value) + number))
    return {**variables, **decided}


def apply_environ(base: Mapping[str, str], variables: Mapping[str, Variable]) -> dict[str, str]:
    """Return ``base`` with the decided variables laid over it."""
    decided = {name: v.value for name, v in variables.items() if v.value is not None}
    return {**base, **decided}


def _defaults(
    settings: Settings, facts: Facts, *, major: int, paths: Paths, binding: Binding
) -> dict[str, Variable]:
    places = {
        "binding": binding.policy_for(major),
        "hostfile": paths.hostfile,
        "rsh": facts.rsh or f"ssh -F {paths.ssh_config}",
        "rank_wrapper": facts.rank_wrapper or "",
        "control_interface": facts.control_interface or "",
    }
    variables = {}
    for row in defaults_for(major, facts):
        given = settings.environ.get(row.name)
        if given is not None and row.name not in settings.operator.variables:
            variables[row.name] = Variable(given, "user", "set by the user, left alone")
        elif row.name in POLICY_VARIABLES and binding.policy != "none":
            variables[row.name] = Variable(places["binding"], "user", binding.why)
        else:
            value = row.value.format_map(places)
            source: Source = "default" if row.condition == "always" else "probed"
            variables[row.name] = Variable(value, source, row.why)
    return variables


def _operator_ssh_arguments(settings: Settings) -> dict[str, Variable]:
    """Give PRRTE the ssh arguments that operators set under the ORTE name only."""
    name = "OMPI_MCA_plm_rsh_args"
    given = settings.environ.get(name)
    if not given or "PRTE_MCA_plm_ssh_args" in settings.environ:
        return {}
    source: Source = "operator" if name in settings.operator.variables else "user"
    why = f"{name} under the name that Open MPI 5 reads"
    return {"PRTE_MCA_plm_ssh_args": Variable(given, source, why)}


def _for_many_hosts(settings: Settings, hosts: Hostfile, *, major: int) -> dict[str, Variable]:
    """Fix how daemons are started and connected where one level of a tree is not enough.

    64 is the radix of both run-time layers: up to there every daemon talks to mpirun itself.
    Above, daemons pass messages on in a tree of that radix, two levels deep up to 4,160 hosts;
    starting them in that tree as well hangs (open-mpi/ompi#4465, #4578) and needs a way from
    worker to worker, so mpirun starts them all, so many at a time (ompi#7562).
    """
    if len(hosts.hosts) <= _RADIX:
        return {}
    concurrent = "OMPI_MCA_plm_rsh_num_concurrent" if major == _ORTE else _PRRTE_CONCURRENT
    radix = "OMPI_MCA_routed_radix" if major == _ORTE else "PRTE_MCA_routed_radix"
    number = f"{len(hosts.hosts)} hosts"
    rows = [
        (concurrent, str(_CONCURRENT), f"{number}: daemons that mpirun starts at a time"),
        (radix, str(_RADIX), f"{number}: daemons pass messages on in a tree of this radix"),
    ]
    if major != _ORTE:
        why = (
            f"{number}: attached daemons are no more than mpirun starts at a time, by its own rule"
        )
        rows.append((_PRRTE_ATTACHED, "0", why))
    return {
        name: Variable(value, "default", why)
        for name, value, why in rows
        if name not in settings.environ
    }


def _users_or(settings: Settings, name: str, value: str) -> Variable:
    given = settings.environ.get(name)
    if given:
        return Variable(given, "user", f"{name} for the ranks, as the launcher has it")
    return Variable(value, "default", f"{name} for the ranks")


def _master_port(settings: Settings) -> Variable:
    port = str(settings.master_port)
    if settings.environ.get("MPIJOB_MASTER_PORT"):
        return Variable(port, "user", "MASTER_PORT for the ranks, by MPIJOB_MASTER_PORT")
    variable = _users_or(settings, "MASTER_PORT", port)
    if variable.source == "user":
        return variable
    why = f"{variable.why}; a job beside others of this launcher has the next that is free"
    return replace(variable, why=why)


def _carried(settings: Settings, hosts: Hostfile, output: OutputPlan) -> dict[str, Variable]:
    """Return what the rank wrapper is told.

    Open MPI forwards every ``OMPI_…`` variable to all ranks unchanged, newlines and quotes
    included (measured with 4.1.4 and 5.0.11), so this needs no ``-x`` on the command line.
    """
    variables = {
        carried.ATTEMPT: Variable(None, "default", DECIDED_AT_LAUNCH),
        carried.MASTER_ADDR: _users_or(settings, "MASTER_ADDR", hosts.hosts[0].name),
        carried.MASTER_PORT: _master_port(settings),
    }
    for name, value in matching_variables(settings.environ, GAPS).items():
        why = f"{name} for ranks that have none, as the launcher has it"
        variables[carried.GAP_PREFIX + name] = Variable(value, "user", why)
    if settings.stall_timeout_seconds:
        why = "stacks of a stalled Python program, where py-spy may not read them"
        name = carried.GAP_PREFIX + "PYTHONFAULTHANDLER"
        variables.setdefault(name, Variable("1", "default", why))
    if output.form == "mpirun":
        why = "the ranks' output is left to mpirun" + (f", for {output.why}" if output.why else "")
        variables[carried.STREAMS] = Variable("mpirun", "user", why)
    for name, value in settings.forwarded.items():
        why = f"{name} for the ranks, by --env"
        variables[carried.ENV_PREFIX + name] = Variable(value, "user", why)
    return variables
