"""One run of a job, in the order in which the operator makes things happen.

Workers, then the launcher, whose attempts decide how the job ends.
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mpijob_local.attempts import RetryPolicy
from mpijob_local.layout import Layout
from mpijob_local.node import Exit
from mpijob_local.output import Reporter
from mpijob_local.pod import DISCOVER_HOSTS, Pod, Role, Source
from mpijob_local.pods import RunningPods
from mpijob_local.readiness import Readiness

# Kubernetes' alphabet for generated names (apimachinery util/rand): no vowels, no look-alikes
_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH = 5
# Neither a deadline nor Ctrl-C waits for longer, whatever grace the manifest gives.
_LONGEST_GRACE_SECONDS = 3
_TIMED_OUT = 124


class _WorkerFailedError(Exception):
    """A worker has failed for good where that ends the job; never reaches the user."""

    def __init__(self, ended: Exit) -> None:
        super().__init__(ended.reason)
        self.exit_code = ended.code


class _OutOfTimeError(Exception):
    """A deadline has passed; ends the waiting and never reaches the user."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended.

    Attributes:
        exit_code: the launcher's last, or 124 (as of ``timeout``) when ``--timeout`` ended it.
        reason: Kubernetes' word for a failure, such as ``BackoffLimitExceeded``.
        attempts: how many times the launcher ran.
    """

    exit_code: int
    reason: str
    attempts: int

    @property
    def succeeded(self) -> bool:
        """The launcher ended with 0, in time."""
        return not self.reason


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Limits in seconds; None is no limit.

    Attributes:
        run_seconds: for all of the run (``--timeout``).
        launcher_seconds: for the launcher and all its attempts (``activeDeadlineSeconds``).
    """

    run_seconds: float | None = None
    launcher_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class _Deadline:
    due: float
    reason: str
    exit_code: int | None


class JobRun:
    """A job while it runs.

    Args:
        layout: what to run.
        pods: where its pods run.
        policy: when the launcher is tried again.
        limits: how long it may take.
        reporter: gets the progress.
    """

    def __init__(
        self,
        layout: Layout,
        pods: RunningPods,
        *,
        policy: RetryPolicy,
        limits: TimeLimits,
        reporter: Reporter,
    ) -> None:
        self._layout = layout
        self._pods = pods
        self._policy = policy
        self._limits = limits
        self._reporter = reporter
        self._launcher = layout.attempt(_suffix())
        self._attempts = 0
        self._deadlines: list[_Deadline] = []

    def execute(self) -> Outcome:
        """Run the job to its end; removing what is left is the caller's part."""
        self._set_deadline(self._limits.run_seconds, "Timeout", _TIMED_OUT)
        try:
            self._start()
            return self._supervise()
        except _WorkerFailedError as failure:
            return Outcome(failure.exit_code, "WorkerFailed", self._attempts)
        except _OutOfTimeError:
            return self._out_of_time()

    def stop(self) -> None:
        """Give a running launcher a short time to end well, before all is removed."""
        if self._pods.is_running(self._launcher):
            grace = min(self._launcher.grace_seconds, _LONGEST_GRACE_SECONDS)
            self._pods.node.stop(self._launcher, grace_seconds=grace)

    def _start(self) -> None:
        """Start the workers, and the launcher beside them or when they are ready."""
        self._note_running_workers()
        workers = self._layout.workers
        together = () if self._layout.waits_for_workers else (self._launcher,)
        with self._reporter.counting("workers started", len(workers)) as advance:
            self._pods.start(
                (*workers, *together),
                started=lambda pod: advance() if pod.role is Role.WORKER else None,
            )
        if self._layout.waits_for_workers:
            self._wait_for_workers()
            self._note_running_workers()
            self._pods.start((self._launcher,), started=lambda _: None)
        else:
            self._update_config()

    def _supervise(self) -> Outcome:
        """See the launcher through its attempts."""
        self._set_deadline(self._limits.launcher_seconds, "DeadlineExceeded", None)
        while True:
            self._attempts += 1
            self._reporter.step(f"launcher started ({self._launcher.name}{self._which_attempt()})")
            ended = self._wait_for_launcher()
            if not ended.code:
                return Outcome(0, "", self._attempts)
            self._tell_failure(self._launcher, ended)
            if ended.gone or self._attempts >= self._policy.attempts:
                return Outcome(ended.code, "BackoffLimitExceeded", self._attempts)
            self._pause()
            self._start_again()

    def _wait_for_workers(self) -> None:
        """Wait until every worker is ready (launcherCreationPolicy other than AtStartup)."""
        node = self._pods.node
        waiting = [Readiness(node.engine, pod, node.address(pod)) for pod in self._layout.workers]
        total = len(waiting)
        while waiting:
            left = [readiness for readiness in waiting if not readiness.check()]
            if len(left) < len(waiting):
                self._reporter.step(f"workers ready {total - len(left)}/{total}")
            waiting = left
            if waiting:
                self._tick()
                self._check_workers()

    def _check_workers(self) -> None:
        """End a job whose launcher would wait for a worker that does not come any more."""
        failed = self._pods.failed_worker()
        if failed is None or not self._layout.operator.worker_failure_is_final:
            return
        pod, ended = failed
        self._tell_failure(pod, ended)
        raise _WorkerFailedError(ended)

    def _wait_for_launcher(self) -> Exit:
        while (ended := self._pods.exit_of(self._launcher)) is None:
            self._tick()
        return ended

    def _tick(self) -> None:
        running = self._pods.workers()
        self._pods.tick()
        if self._pods.workers() != running:
            self._update_config()
        if any(time.monotonic() >= deadline.due for deadline in self._deadlines):
            raise _OutOfTimeError

    def _pause(self) -> None:
        seconds = self._policy.pause_seconds(self._attempts)
        if seconds:
            self._reporter.step(f"next attempt in {seconds:g} s")
        due = time.monotonic() + seconds
        while time.monotonic() < due:
            self._tick()

    def _start_again(self) -> None:
        """Restart the container, or make a new pod, as restartPolicy says."""
        if self._policy.in_place:
            self._pods.restart(self._launcher)
        else:
            self._launcher = self._layout.attempt(_suffix())
            self._pods.start((self._launcher,), started=lambda _: None)

    def _which_attempt(self) -> str:
        if self._attempts == 1:
            return ""
        return f", attempt {self._attempts} of {self._policy.attempts}"

    def _tell_failure(self, pod: Pod, ended: Exit) -> None:
        who = "launcher" if pod.role is Role.LAUNCHER else pod.name
        self._reporter.warn(f"{who} failed: {ended.reason}")
        if message := self._pods.node.termination_message(pod):
            self._reporter.warn(f"{who}'s termination log: {message}")

    def _note_running_workers(self) -> None:
        script = self._layout.discover_hosts(self._pods.workers())
        self._pods.node.objects[DISCOVER_HOSTS] = script.encode()

    def _update_config(self) -> None:
        """Show a change of the running workers in the launcher's discover_hosts.sh.

        The kubelet does so within a minute, we do at once.
        """
        self._note_running_workers()
        if self._pods.is_running(self._launcher):
            for projection in self._launcher.projections:
                if projection.source is Source.CONFIG:
                    self._pods.node.project(self._launcher, projection)

    def _set_deadline(self, seconds: float | None, reason: str, exit_code: int | None) -> None:
        if seconds is not None:
            self._deadlines.append(_Deadline(time.monotonic() + seconds, reason, exit_code))

    def _out_of_time(self) -> Outcome:
        passed = min(self._deadlines, key=lambda deadline: deadline.due)
        self.stop()
        code = passed.exit_code
        if code is None:
            ended = self._pods.node.exit_of(self._launcher) if self._attempts else None
            # A launcher that ends well after its deadline has still failed.
            code = (ended.code if ended else 0) or 1
        return Outcome(code, passed.reason, self._attempts)


@contextmanager
def closing(pods: RunningPods, run: JobRun) -> Iterator[None]:
    """Print the last output when the block ends; stop the launcher first if it was cut short."""
    try:
        yield
    except BaseException:
        run.stop()
        raise
    finally:
        pods.close()


def _suffix() -> str:
    return "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(_SUFFIX_LENGTH))
