"""An agent on every host: readiness goes the whole way to where ranks will run.

Layer: effects (ssh, processes); imports attempts, console, credentials, plan, probes, readiness,
watch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from mpijob_runtime.attempts import RunningAttempt
from mpijob_runtime.console import Console
from mpijob_runtime.credentials import copy_key
from mpijob_runtime.errors import ConfigurationError, HostsNotReadyError, SpreadError
from mpijob_runtime.facts import Facts
from mpijob_runtime.host_facts import parse_host_facts
from mpijob_runtime.hosts import short_name
from mpijob_runtime.lists import format_list
from mpijob_runtime.plan import LaunchPlan
from mpijob_runtime.private_files import allow_descriptors, make_run_dir, write_private
from mpijob_runtime.readiness import HostChange, Kept, wait_for_hosts
from mpijob_runtime.refusal import HostRefusal
from mpijob_runtime.settings import Settings
from mpijob_runtime.ssh_files import format_known_hosts
from mpijob_runtime.user_entry import check_user_entry
from mpijob_runtime.watch import HostWatch, LocalStream, start_remote

if TYPE_CHECKING:
    from mpijob_runtime.probes.ssh import SshConnection

_STEP_SECONDS = 10.0
_FENCE_SECONDS = 15.0
_CONTROL_VARIABLES = ("OMPI_MCA_oob_tcp_if_include", "PRTE_MCA_prte_if_include")
_DAEMONS = {4: "orted", 5: "prted"}


def write_files(plan: LaunchPlan) -> None:
    """Make the run directory and write the private files of a plan.

    Raises:
        ConfigurationError: if they cannot be written.
    """
    make_run_dir(plan.paths.run_dir)
    allow_descriptors(len(plan.remote))
    for file in plan.files:
        write_private(file.path, file.text)


@dataclass(frozen=True, slots=True)
class Start:
    """What a start of a job has.

    Attributes:
        settings: what was asked.
        plan: what is to run.
        facts: what this container shows.
        attempt: this start of the job.
        console: where to say who is ready.
        probing: nothing will run: other attempts are left alone.
    """

    settings: Settings
    plan: LaunchPlan
    facts: Facts
    attempt: RunningAttempt
    console: Console
    probing: bool = False


def wait_for_logins(
    settings: Settings, plan: LaunchPlan, facts: Facts, console: Console
) -> dict[str, SshConnection]:
    """Wait until every remote host takes our login and runs a command.

    Raises:
        MpiJobError: if a host does not come, or this container's keys or user cannot work.
    """
    from mpijob_runtime.probes.ssh import check_shell

    def take(connection: SshConnection) -> SshConnection:
        check_shell(connection, timeout_seconds=_STEP_SECONDS)
        return connection

    write_files(plan)
    return _gather(settings, plan, facts, console, take=take)


def join_here(start: Start) -> HostWatch:
    """Start the agent of this container; ranks that come out here find it.

    Raises:
        ConfigurationError: if it cannot take part.
        HostsNotReadyError: if it does not, and another start may find it otherwise.
    """
    plan = start.plan
    began = time.monotonic()
    here = start.facts.system.hostname
    try:
        stream = LocalStream(start.attempt.id, plan.paths.run_dir, start.settings.environ)
    except OSError as error:
        message = f"{here}: cannot start the launcher's own agent: {error.strerror}"
        remedy = "raise the pod's limits of processes and memory, or start fewer jobs in it"
        raise ConfigurationError(message, remedy=remedy) from error
    watch = HostWatch(plan.aliases.get(here, here), stream, None)
    try:
        _greet(watch, start, at_least_seconds=start.settings.timeout_seconds)
    except HostRefusal as refusal:
        watch.close()
        if refusal.lasting:
            raise ConfigurationError(f"{here}: {refusal}") from refusal
        waited = time.monotonic() - began
        reasons = {here: str(refusal)}
        raise HostsNotReadyError(reasons, waited_seconds=waited, total=1) from refusal
    except BaseException:
        watch.close()
        raise
    return watch


def join_all(
    start: Start,
    *,
    on_joined: Callable[[SshConnection, Mapping[str, object]], None] = lambda *_: None,
) -> list[HostWatch]:
    """Wait until every remote host takes our login and our agent works there.

    Args:
        start: of the job.
        on_joined: called with each host's connection and its agent's first word.

    Raises:
        MpiJobError: if a host does not come, or cannot take part.
    """

    def take(connection: SshConnection) -> HostWatch:
        watch = start_remote(connection, start.attempt.id)
        _greet(watch, start)
        _check_daemon(watch, start.plan.mpi.major)
        _check_control_network(watch, start.plan)
        on_joined(connection, watch.hello)
        return watch

    given = (start.settings, start.plan, start.facts, start.console)
    return list(_gather(*given, take=take).values())


def check_crew(
    crew: Sequence[HostWatch], plan: LaunchPlan, settings: Settings, console: Console
) -> None:
    """Say what the hosts had left of earlier attempts, and which of them share a node.

    Args:
        crew: the agents, the launcher's own host last.
        plan: tells whether that one is of the job.
        settings: tells whether sharing is an error.
        console: where to say it.

    Raises:
        SpreadError: with ``--distinct-nodes``, if hosts share a node.
    """
    for watch in crew:
        if ended := watch.hello.get("ended"):
            console.warning(f"{watch.host}: ended {ended} processes of an earlier attempt")
    _check_nodes(crew if plan.aliases else crew[:-1], settings, console)


def _greet(watch: HostWatch, start: Start, *, at_least_seconds: float = 0.0) -> None:
    """Tell an agent what it has to know; it may take the grace to end an older attempt.

    A host's agent is tried again until the deadline, the launcher's own is waited for as long.
    """
    hosts = [host.name for host in start.plan.hosts.hosts]
    grace_seconds = start.settings.grace_seconds
    hello: dict[str, object] = {
        "attempt": start.attempt.id,
        "keep": ",".join(start.attempt.siblings()),
        "grace_seconds": grace_seconds,
        "directory": start.facts.directory,
    }
    if watch.host in hosts:
        hello["member"] = 1
        hello.update({"links": 1} if len(hosts) > 1 else {})
    if start.probing:
        hello["probing"] = 1
    patience_seconds = max(at_least_seconds, grace_seconds + _FENCE_SECONDS)
    watch.greet(hello, timeout_seconds=patience_seconds)


def _gather(
    settings: Settings,
    plan: LaunchPlan,
    facts: Facts,
    console: Console,
    *,
    take: Callable[[SshConnection], Kept],
) -> dict[str, Kept]:
    """Wait until every remote host takes our login, and keep what ``take`` makes of each."""
    if not plan.remote:
        return {}
    log_in = _make_login(settings, plan, facts)

    def connect(host: str) -> Kept:
        connection = log_in(host)
        try:
            return take(connection)
        except BaseException:
            connection.close()
            raise

    return wait_for_hosts(
        plan.remote,
        connect,
        timeout_seconds=settings.timeout_seconds,
        on_change=partial(say_change, console),
    )


def _make_login(
    settings: Settings, plan: LaunchPlan, facts: Facts
) -> Callable[[str], SshConnection]:
    """Return what logs in to a host; mpirun starts while our ssh library is imported."""
    from mpijob_runtime.probes.ssh import probe_ssh, read_identity

    user = facts.user
    check_user_entry(user)
    identity = read_identity(copy_key(facts.key, user, plan.paths), user=user.name or "")
    write_private(plan.paths.known_hosts, format_known_hosts(identity.public_key))
    return partial(
        probe_ssh, port=settings.ssh_port, identity=identity, timeout_seconds=_STEP_SECONDS
    )


def _check_daemon(watch: HostWatch, major: int) -> None:
    """Refuse a host whose Open MPI cannot serve ours: mpirun would hang or say something odd."""
    found = watch.hello.get("daemons")
    daemons = [str(name) for name in found] if isinstance(found, list) else []
    if _DAEMONS[major] in daemons:
        return
    has = " and ".join(daemons) or "neither orted nor prted on PATH"
    raise ConfigurationError(
        f"{watch.host}: found {has}, wanted {_DAEMONS[major]} of Open MPI {major}, as here",
        remedy="use the same image for launcher and workers",
    )


def _check_control_network(watch: HostWatch, plan: LaunchPlan) -> None:
    """Refuse a host without the interface that daemons are told to use: they would not start."""
    for name in _CONTROL_VARIABLES:
        variable = plan.environ.get(name)
        machine = watch.hello.get("machine")
        if variable is None or variable.source == "user" or not isinstance(machine, dict):
            continue
        found = [interface.name for interface in parse_host_facts(machine).interfaces]
        if variable.value not in found:
            raise ConfigurationError(
                f"{watch.host}: found interfaces {', '.join(found) or '(none)'}, wanted"
                f" {variable.value}, which mpirun's daemons are to use ({name})",
                remedy=f"set {name} on the launcher to subnets, as 10.0.0.0/16, that all have",
            )


def say_change(console: Console, change: HostChange) -> None:
    """Say one change of one host's state in one line."""
    state = "ready" if change.refusal is None else f"not ready: {change.refusal}"
    console.info(
        f"[{change.ready}/{change.total}] {change.waited_seconds:5.1f} s  {change.host}: {state}",
        host=change.host,
        ready=change.ready,
        total=change.total,
        step=None if change.refusal is None else change.refusal.step,
    )


def _check_nodes(crew: Sequence[HostWatch], settings: Settings, console: Console) -> None:
    """Say which hosts share a physical node; an error if that was asked for.

    Raises:
        SpreadError: with ``--distinct-nodes``.
    """
    nodes: dict[str, list[str]] = {}
    for watch in crew:
        nodes.setdefault(str(watch.hello.get("boot_id")), []).append(short_name(watch.host))
    shared = [hosts for hosts in nodes.values() if len(hosts) > 1]
    if not shared:
        return
    groups = format_list([format_list(hosts) for hosts in shared], between="; ")
    message = f"{len(crew)} hosts are on {len(nodes)} physical nodes; together are {groups}"
    if settings.distinct_nodes:
        remedy = "spread the workers, for example by pod anti-affinity on kubernetes.io/hostname"
        raise SpreadError(f"--distinct-nodes: {message}", remedy=remedy)
    console.warning(f"{message} (by the kernels' boot ids)")
