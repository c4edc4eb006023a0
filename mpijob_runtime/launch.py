"""The launcher's role: wait for the hosts, run mpirun, watch it, explain how it ended.

Layer: effects; puts the other modules together.
"""

import signal
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from types import FrameType

from mpijob_runtime.attempts import RunningAttempt
from mpijob_runtime.console import Console
from mpijob_runtime.crew import Start, check_crew, join_all, join_here, write_files
from mpijob_runtime.diagnose import INTERRUPTED_CODE
from mpijob_runtime.errors import ConfigurationError, explain_error
from mpijob_runtime.facts import Facts
from mpijob_runtime.hosts import Hostfile, missing_hostfile, parse_host_list, parse_hostfile
from mpijob_runtime.outcome import TRY_AGAIN_CODE, Outcome, count
from mpijob_runtime.plan import LaunchPlan, plan_launch
from mpijob_runtime.probes.container import probe_container
from mpijob_runtime.report import publish_outcome
from mpijob_runtime.run import Run
from mpijob_runtime.run_dir import choose_run_dir
from mpijob_runtime.settings import Settings

_LARGEST_HOSTFILE_BYTES = 64 * 1024 * 1024


class EndedBySignalError(BaseException):
    """An ending signal came before mpirun was under watch; like Ctrl-C it is nobody's to catch."""

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
        _say_plan(plan, settings, console)
        write_files(plan)
        with closing(RunningAttempt(plan.paths.run_dir)) as attempt:
            return _run(Start(settings, plan, facts, attempt, console), signals, began)
    except EndedBySignalError as error:
        code = INTERRUPTED_CODE if error.number == signal.SIGINT else TRY_AGAIN_CODE
        reason = f"the launcher got {error.number.name} before the job started"
        return _not_started(code, reason, began)
    except Exception as error:  # noqa: BLE001 - a bug of ours, too, leaves an outcome
        return _not_started(*explain_error(error), began)


def _run(start: Start, signals: "_EndingSignals", began: float) -> Outcome:
    """Start mpirun, gather the hosts while its daemons start, and see the job through.

    mpirun starts before the hosts are there, so that nothing but the last host's daemon and the
    ranks themselves have still to start when that host comes.
    """
    run = Run(start.settings, start.plan, start.attempt, start.console)
    here = join_here(start)
    crew = [here]
    try:
        run.start()
        crew = [*join_all(start, on_joined=run.join), here]
        check_crew(crew, start.plan, start.settings, start.console)
        waited = time.monotonic() - began
        return run.run(crew, waited_seconds=waited, when_watching=signals.ignore)
    except BaseException as error:
        with suppress(Exception):  # the first bug is the one to tell
            run.abort()
        if isinstance(error, Exception) and run.ranks_started:
            return run.outcome_without_diagnosis(error)
        raise
    finally:
        for watch in crew:
            with suppress(OSError):
                watch.close()


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
        ConfigurationError: if the operator's is for another MPI.
    """
    if settings.host is not None:
        return parse_host_list(settings.host, source=settings.host_source)
    path, operator = settings.hostfile, settings.operator
    if path == operator.hostfile and operator.implementation != "OpenMPI":
        raise ConfigurationError(
            f"spec.mpiImplementation of the MPIJob: found {operator.implementation}, wanted"
            " OpenMPI, which this image has",
            remedy="write mpiImplementation: OpenMPI or leave it out, or use an image with"
            f" {operator.implementation}",
        )
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


def _say_plan(plan: LaunchPlan, settings: Settings, console: Console) -> None:
    console.info(
        f"{plan.mpi.name} {plan.mpi.version}, {count(len(plan.hosts.hosts), 'host')}, "
        f"{count(plan.hosts.world_size, 'slot')} "
        f"from {plan.hosts.source} ({settings.operator.name})"
    )
    if plan.output.form == "mpirun" and plan.output.why:
        console.info(f"the ranks' output is left to mpirun, for {plan.output.why}")
    if plan.output.unheeded:
        console.warning(
            f"{plan.output.unheeded} is not done: {settings.output} was asked for"
            " (MPIJOB_OUTPUT, --output)"
        )
    if plan.unproved is not None:
        console.warning(f"where the ranks will be is {plan.unproved}")


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
        """Give the signals back, unless they are to change nothing any more."""
        for number, handler in () if self._ignored else self._former.items():
            signal.signal(number, handler)

    def ignore(self) -> None:
        """Take no notice any more: the supervisor has the signals, or only words are left."""
        self._ignored = True

    def _leave(self, number: int, _frame: FrameType | None) -> None:
        if not self._ignored:
            self._ignored = True  # the first one ends it; a second must not cut its end short
            raise EndedBySignalError(signal.Signals(number))
