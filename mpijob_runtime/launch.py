"""The launcher's role: wait for the hosts, run mpirun, watch it, explain how it ended.

Layer: effects; puts the other modules together.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import FrameType

from mpijob_runtime import carried
from mpijob_runtime.console import Console
from mpijob_runtime.credentials import copy_key
from mpijob_runtime.diagnose import (
    INTERRUPTED_CODE,
    TRY_AGAIN_CODE,
    Observation,
    diagnose,
)
from mpijob_runtime.environ import Variable, apply_environ
from mpijob_runtime.errors import MpiJobError, describe_bug
from mpijob_runtime.facts import Facts
from mpijob_runtime.follow import RecordFollower
from mpijob_runtime.hosts import Hostfile, missing_hostfile, parse_host_list, parse_hostfile
from mpijob_runtime.outcome import Outcome, count
from mpijob_runtime.plan import LaunchPlan, plan_launch
from mpijob_runtime.private_files import allow_descriptors, make_run_dir, write_private
from mpijob_runtime.probes.container import probe_container
from mpijob_runtime.probes.ssh import SshConnection, probe_ssh, read_identity
from mpijob_runtime.readiness import HostChange, wait_for_hosts
from mpijob_runtime.records import RankRecord
from mpijob_runtime.report import publish_outcome
from mpijob_runtime.run_dir import choose_run_dir
from mpijob_runtime.settings import Settings
from mpijob_runtime.spread import Placement, choose_judgement
from mpijob_runtime.ssh_files import format_known_hosts
from mpijob_runtime.supervise import Supervisor
from mpijob_runtime.user_entry import ensure_user_entry

_STEP_SECONDS = 10.0
_LARGEST_HOSTFILE_BYTES = 64 * 1024 * 1024


class EndedBySignalError(Exception):
    """An ending signal came before mpirun was started."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number


def launch(
    settings: Settings, program: Sequence[str], *, console: Console, verbatim: bool = False
) -> int:
    """Run a job and return the exit code of the launcher.

    Args:
        settings: what was asked.
        program: the program with its arguments; mpirun's whole argument list if ``verbatim``.
        console: where to say what happens.
        verbatim: leave ``program`` to mpirun as it is.
    """
    with _EndingSignals() as signals:
        outcome = _launch(settings, program, console, verbatim=verbatim, signals=signals)
        signals.ignore()
        publish_outcome(
            outcome,
            console=console,
            report=settings.report,
            termination_log=settings.termination_log,
        )
    return outcome.exit_code


def _launch(
    settings: Settings,
    program: Sequence[str],
    console: Console,
    *,
    verbatim: bool,
    signals: "_EndingSignals",
) -> Outcome:
    began = time.monotonic()
    try:
        plan, facts = make_plan(settings, program, verbatim=verbatim)
        connections = _prepare(settings, plan, facts, console)
        waited = time.monotonic() - began
        run = _Run(settings, plan, connections, console, waited_seconds=waited)
        return run.run(when_watching=signals.ignore)
    except MpiJobError as error:
        return _not_started(error.exit_code, str(error), began)
    except EndedBySignalError as error:
        code = INTERRUPTED_CODE if error.number == signal.SIGINT else TRY_AGAIN_CODE
        reason = f"the launcher got {error.number.name} before the job started"
        return _not_started(code, reason, began)
    except Exception as error:  # noqa: BLE001 - a bug of ours, too, leaves an outcome
        return _not_started(MpiJobError.exit_code, describe_bug(error), began)


def _not_started(exit_code: int, reason: str, began: float) -> Outcome:
    waited = {"wait": time.monotonic() - began}
    return Outcome("not_started", exit_code, reason, phases_seconds=waited)


def make_plan(
    settings: Settings, program: Sequence[str], *, verbatim: bool = False
) -> tuple[LaunchPlan, Facts]:
    """Probe this container and plan, touching nothing.

    Raises:
        MpiJobError: if the job cannot be planned.
    """
    hosts = read_hosts(settings)
    facts = probe_container(settings)
    run_dir = choose_run_dir(settings.run_dir)
    plan = plan_launch(settings, facts, hosts, program=program, run_dir=run_dir, verbatim=verbatim)
    return plan, facts


def read_hosts(settings: Settings) -> Hostfile:
    """Read the hosts that the settings name.

    Raises:
        HostfileError: if there are none, or the file is wrong.
    """
    if settings.host is not None:
        return parse_host_list(settings.host, source="--host")
    path = settings.hostfile
    if path is None:
        raise missing_hostfile("hostfile", "no hostfile named and no operator's /etc/mpi/hostfile")
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST_HOSTFILE_BYTES + 1)
    except OSError as error:
        raise missing_hostfile(path, error.strerror or "an unreadable file") from error
    if len(data) > _LARGEST_HOSTFILE_BYTES:
        raise missing_hostfile(path, f"more than {_LARGEST_HOSTFILE_BYTES >> 20} MiB")
    return parse_hostfile(data, path=path, default_slots=settings.operator.default_slots)


def wait_for_plan(
    settings: Settings, plan: LaunchPlan, facts: Facts, console: Console
) -> dict[str, SshConnection]:
    """Write the private files and wait until every remote host takes our login.

    Raises:
        MpiJobError: if a host does not come, or this container's keys or user cannot work.
    """
    make_run_dir(plan.paths.run_dir)
    allow_descriptors(len(plan.remote))
    for file in plan.files:
        write_private(file.path, file.text)
    if not plan.remote:
        return {}
    user = ensure_user_entry(facts.user, home=settings.environ.get("HOME"))
    identity = read_identity(copy_key(facts.key, user, plan.paths), user=user.name or "")
    write_private(plan.paths.known_hosts, format_known_hosts(identity.public_key))
    connect = partial(
        probe_ssh, port=settings.ssh_port, identity=identity, timeout_seconds=_STEP_SECONDS
    )
    return wait_for_hosts(
        plan.remote,
        connect,
        timeout_seconds=settings.timeout_seconds,
        on_change=partial(say_change, console),
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


def _prepare(
    settings: Settings, plan: LaunchPlan, facts: Facts, console: Console
) -> dict[str, SshConnection]:
    console.info(
        f"{plan.mpi.name} {plan.mpi.version}, {count(len(plan.hosts.hosts), 'host')}, "
        f"{count(plan.hosts.world_size, 'slot')} "
        f"from {plan.hosts.source} ({settings.operator.name})"
    )
    return wait_for_plan(settings, plan, facts, console)


class _Run:
    """mpirun under watch, from its start to the outcome."""

    def __init__(
        self,
        settings: Settings,
        plan: LaunchPlan,
        connections: Mapping[str, SshConnection],
        console: Console,
        *,
        waited_seconds: float,
    ) -> None:
        self._settings = settings
        self._plan = plan
        self._connections = connections
        self._console = console
        self._waited_seconds = waited_seconds
        self._attempt = f"{int(time.time())}-{os.urandom(4).hex()}"
        self._planned = {h.name: h.slots for h in plan.hosts.hosts}
        verbatim = None if plan.world_size is not None else plan.argv[1:]
        judgement = choose_judgement(settings.environ, verbatim)
        self._placement = Placement(self._planned, aliases=plan.aliases, judgement=judgement)
        self._started: set[int] = set()
        self._supervisor: Supervisor | None = None
        self._hung = False

    def run(self, *, when_watching: Callable[[], None]) -> Outcome:
        """Run mpirun to its end and return what came of it.

        Args:
            when_watching: called once ending signals are mpirun's supervisor's.
        """
        follower = RecordFollower(
            self._connections,
            attempt=self._attempt,
            run_dir=self._plan.paths.run_dir,
            on_record=self._note,
        )
        follower.start()
        self._began, self._began_wall = time.monotonic(), time.time()
        watch = threading.Timer(self._settings.start_timeout_seconds, self._end_a_hung_start)
        watch.daemon = True
        try:
            self._supervisor = self._make_supervisor()
            watch.start()
            ending = self._supervisor.run(when_watching=when_watching)
        except OSError as error:
            return Outcome("not_started", 78, f"{self._plan.argv[0]}: {error.strerror}")
        finally:
            watch.cancel()
        ran = time.monotonic() - self._began
        if ending.leftovers:
            self._console.debug(f"ended {len(ending.leftovers)} processes that outlived mpirun")
        records, lost = follower.collect()
        for connection in self._connections.values():
            connection.close()
        for record in records:
            self._note(record)
        return diagnose(
            Observation(
                mpirun_code=ending.exit_code,
                signals=tuple(ending.signals),
                records=records,
                hosts=self._placement.hosts,
                world_size=self._plan.world_size,
                misplaced=self._placement.misplaced,
                recorded=self._plan.recorded,
                hung=self._hung,
                lost_hosts=lost,
                phases_seconds={"wait": self._waited_seconds, "run": ran},
                mpirun_started=self._began_wall,
            )
        )

    def _make_supervisor(self) -> Supervisor:
        told = {carried.ATTEMPT: Variable(self._attempt, "default", "this start's id")}
        return Supervisor(
            self._plan.argv,
            apply_environ(self._settings.environ, {**self._plan.environ, **told}),
            grace_seconds=self._settings.grace_seconds,
            on_signal=lambda number: self._console.warning(
                f"got {number.name}: ending the job within {self._settings.grace_seconds:.0f} s"
            ),
        )

    def _end_a_hung_start(self) -> None:
        """End mpirun if no rank has started by now; without the wrapper nobody could tell."""
        if self._started or not self._plan.recorded or self._supervisor is None:
            return
        self._hung = True
        seconds = self._settings.start_timeout_seconds
        self._console.error(f"no rank has started within {seconds:.0f} s: ending mpirun")
        self._supervisor.stop()

    def _note(self, record: RankRecord) -> None:
        """Take a record as it arrives: stop a job in the wrong place, say when all have started."""
        if record.event != "start" or record.rank in self._started:
            return
        self._started.add(record.rank)
        if self._placement.add(record) and self._supervisor is not None:
            self._console.error("ranks are not where the plan put them: ending the job")
            self._supervisor.stop()
        elif len(self._started) == record.world_size:
            used = sum(1 for ranks in self._placement.hosts.values() if ranks)
            ranks, hosts = count(record.world_size, "rank"), count(used, "host")
            seconds = time.monotonic() - self._began
            self._console.info(f"{ranks} started on {hosts} in {seconds:.1f} s")


class _EndingSignals:
    """Lets an ending signal leave any wait; PID 1 would not even notice it otherwise.

    While mpirun runs its supervisor has the signals; once it has ended they change nothing.
    """

    _NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def __enter__(self) -> "_EndingSignals":
        self._ignored = False
        self._former = {number: signal.signal(number, self._leave) for number in self._NUMBERS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def ignore(self) -> None:
        """Take no notice any more: the supervisor has the signals, or only words are left."""
        self._ignored = True

    def _leave(self, number: int, _frame: FrameType | None) -> None:
        if not self._ignored:
            raise EndedBySignalError(signal.Signals(number))
