"""The launch plan: everything decided, nothing done.

Layer: pure; imports bind_to, environ, hosts, mpirun, settings, ssh_files.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mpijob_runtime.bind_to import Binding, choose_binding
from mpijob_runtime.environ import (
    Paths,
    Variable,
    assemble_environ,
)
from mpijob_runtime.errors import ConfigurationError, UsageError
from mpijob_runtime.facts import Facts, MpiFacts
from mpijob_runtime.hosts import Host, Hostfile, format_hostfile, short_name
from mpijob_runtime.masking import shown_value
from mpijob_runtime.mpirun import select_mpi
from mpijob_runtime.mpirun_line import read_options
from mpijob_runtime.mpirun_output import OutputPlan, plan_output
from mpijob_runtime.rank_environ import RankVariable, show_rank_environ
from mpijob_runtime.settings import Settings
from mpijob_runtime.ssh_files import format_ssh_config

_WRAPPER_VARIABLES = ("OMPI_MCA_orte_fork_agent", "PRTE_MCA_odls_base_exec_agent")
_WRAPPER_PARAMETERS = frozenset({"orte_fork_agent", "odls_base_exec_agent"})
_MARK_LETTERS = 8
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1"})


@dataclass(frozen=True, slots=True)
class PrivateFile:
    """A file that a launch writes before it starts mpirun."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """What a launch runs.

    Attributes:
        mpi: the MPI that starts the ranks.
        hosts: where they may run.
        hostname: how this container calls itself.
        world_size: how many ranks, or None where the user's own mpirun arguments say it.
        argv: the command.
        environ: the variables that were decided, over the environment that was given.
        files: what must be written first, in the run directory.
        paths: the run directory's layout.
        rank_environ: the variables that ranks get which have none of that name.
        output: what becomes of the ranks' output.
        unproved: why nothing will tell where the ranks are, or None if their wrappers will.
        binding: who binds ranks to processors.
        bound: host -> to which, in words, once the hosts have been asked.
    """

    mpi: MpiFacts
    hosts: Hostfile
    hostname: str
    world_size: int | None
    argv: tuple[str, ...]
    environ: dict[str, Variable]
    files: tuple[PrivateFile, ...]
    paths: Paths
    output: OutputPlan
    unproved: str | None
    rank_environ: Mapping[str, RankVariable] = field(default_factory=dict)
    binding: Binding = field(default_factory=Binding)
    bound: Mapping[str, str] = field(default_factory=dict)

    @property
    def recorded(self) -> bool:
        """Whether each rank gets our wrapper, and so tells of its start and end."""
        return self.unproved is None

    @property
    def remote(self) -> tuple[str, ...]:
        """Names of the hosts that are reached by ssh."""
        return tuple(h.name for h in self.hosts.hosts if not is_local(h, self.hostname))

    @property
    def aliases(self) -> dict[str, str]:
        """This container's own name -> the name that the plan has for it."""
        local = [h.name for h in self.hosts.hosts if is_local(h, self.hostname)]
        return {self.hostname: local[0]} if local else {}

    def to_json(self) -> dict[str, object]:
        """Return the plan as plain data; values of secret variables are masked."""
        return {
            "mpi": {"name": self.mpi.name, "version": self.mpi.version},
            "hosts": hosts_to_json(self.hosts.hosts),
            "world_size": self.world_size,
            "argv": list(self.argv),
            "environ": {name: _shown(name, v) for name, v in self.environ.items()},
            "rank_environ": {
                name: _shown(name, v) | ({"by_host": dict(v.by_host)} if v.by_host else {})
                for name, v in self.rank_environ.items()
            },
            "binding": {
                "policy": self.binding.policy,
                "why": self.binding.why,
                "by_host": dict(self.bound),
            },
        }


def _shown(name: str, variable: Variable) -> dict[str, object]:
    value = shown_value(name, variable.value)
    return {"value": value, "source": variable.source, "why": variable.why}


def hosts_to_json(hosts: Sequence[Host]) -> list[dict[str, str | int]]:
    """Return hosts as plain data."""
    return [{"name": host.name, "slots": host.slots} for host in hosts]


def is_local(host: Host, hostname: str) -> bool:
    """Tell whether a host is this container itself."""
    return host.name in LOCAL_NAMES or hostname in (host.name, short_name(host.name))


def plan_launch(
    settings: Settings,
    facts: Facts,
    hosts: Hostfile,
    *,
    program: Sequence[str],
    run_dir: str,
    verbatim: bool = False,
) -> LaunchPlan:
    """Decide what to run.

    Args:
        settings: what was asked.
        facts: what this container shows.
        hosts: the job's hosts.
        program: the program and its arguments.
        run_dir: directory of the private files.
        verbatim: ``program`` is a whole argument list for mpirun, to be left as it is.

    Raises:
        UsageError: if more ranks are asked for than there are slots.
        ConfigurationError: if no MPI was found that this package drives, or the operator means
            the hosts to be reached by other ways than ssh.
    """
    mpi = select_mpi(facts.mpi)
    hostname = facts.system.hostname
    _check_local(hosts, hostname)
    _check_transport(settings, hosts, hostname)
    ranks = None if verbatim else _ranks(settings, hosts)
    own_hosts = format_hostfile(_for_mpirun(hosts.hosts, hostname))
    paths = Paths(run_dir, hashlib.sha256(own_hosts.encode()).hexdigest()[:_MARK_LETTERS])
    argv = (mpi.mpirun, *program) if ranks is None else mpi.argv(ranks=ranks, program=program)
    assert facts.mpi is not None  # noqa: S101 - select_mpi has raised
    output = plan_output(settings, program if verbatim else None, major=mpi.major)
    binding = choose_binding(
        settings.bind_to,
        {**settings.environ, **settings.forwarded},
        settings.operator.variables,
        program if verbatim else (),
        major=mpi.major,
    )
    environ = assemble_environ(
        settings, facts, hosts, output, major=mpi.major, paths=paths, binding=binding
    )
    return LaunchPlan(
        mpi=facts.mpi,
        hosts=hosts,
        hostname=hostname,
        world_size=ranks,
        argv=argv,
        environ=environ,
        files=(
            PrivateFile(paths.hostfile, own_hosts),
            PrivateFile(paths.ssh_config, format_ssh_config(paths, port=settings.ssh_port)),
        ),
        paths=paths,
        output=output,
        unproved=_unproved(facts, environ, program if verbatim else (), major=mpi.major),
        rank_environ=show_rank_environ(settings.environ, settings.forwarded, of_mpirun=environ),
        binding=binding,
    )


def _unproved(
    facts: Facts, environ: Mapping[str, Variable], arguments: Sequence[str], *, major: int
) -> str | None:
    """Return why ranks will have no wrapper of ours."""
    if facts.rank_wrapper is None:
        return "unproved: MPIJOB_RANK_WRAPPER names no executable to put around the ranks"
    own = [name for name in _WRAPPER_VARIABLES if name in environ]
    if any(environ[name].source == "user" for name in own):
        return f"unproved: {own[0]} was set by the user"
    parameters = (option.parameter[0] for option in read_options(arguments, major=major))
    named = [name for name in parameters if name in _WRAPPER_PARAMETERS]
    return f"unproved: {named[0]} is on mpirun's command line" if named else None


def _check_local(hosts: Hostfile, hostname: str) -> None:
    """Refuse two names for this container, and a name that others take for themselves."""
    local = [host.name for host in hosts.hosts if is_local(host, hostname)]
    shared = LOCAL_NAMES & set(local) and len(hosts.hosts) > 1
    if len(local) > 1 or shared:
        found = ", ".join(local)
        message = f"{hosts.source}: found {found} among {len(hosts.hosts)} hosts"
        raise UsageError(
            f"{message}, wanted this container once, by a name that the others can resolve",
            remedy=f"write {hostname} instead, or localhost alone for a local run",
        )


def _check_transport(settings: Settings, hosts: Hostfile, hostname: str) -> None:
    """Refuse workers without an sshd: Open MPI 5 would run all ranks here and end with 0."""
    if settings.operator.transport == "ssh" or all(is_local(h, hostname) for h in hosts.hosts):
        return
    raise ConfigurationError(
        f"{settings.operator.name}: found workers that are reached by kubectl exec, wanted ssh",
        remedy="submit a v2beta1 MPIJob or a TrainJob; MPIJOB_SHIM=off gives the plain mpirun",
    )


def _for_mpirun(hosts: Sequence[Host], hostname: str) -> list[Host]:
    """Return the hosts as mpirun is told them: this container by the name it has for itself.

    The name that others know may not be resolvable here yet, and mpirun would take what it
    cannot resolve for another machine and log in there.
    """
    return [
        Host(hostname, host.slots)
        if is_local(host, hostname) and host.name not in LOCAL_NAMES
        else host
        for host in hosts
    ]


def _ranks(settings: Settings, hosts: Hostfile) -> int:
    if settings.ranks is None:
        return hosts.world_size
    if settings.ranks > hosts.world_size:
        slots = " + ".join(str(host.slots) for host in hosts.hosts[:16])
        slots += " + …" if len(hosts.hosts) > 16 else ""  # noqa: PLR2004 - a line's worth
        message = (
            f"-n {settings.ranks}: {len(hosts.hosts)} hosts in {hosts.source} have "
            f"{slots} = {hosts.world_size} slots"
        )
        raise UsageError(message, remedy="raise slotsPerWorker or Worker.replicas, or lower -n")
    return settings.ranks
