"""The pods of a running job: their starts, their ends, their output.

Everything happens in one loop of one thread; only containers are started in parallel.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field

from mpijob_local.attempts import RetryPolicy
from mpijob_local.containers import container_name
from mpijob_local.logs import LogFollower, LogLine
from mpijob_local.node import Exit, Node
from mpijob_local.output import LogPrinter, Reporter
from mpijob_local.pod import Pod, Role
from mpijob_local.watch import ContainerWatch

_TICK_SECONDS = 0.1
_MOST_STARTS_AT_ONCE = 16


@dataclass(slots=True)
class RunningPods:
    """The pods of one job that were started.

    Attributes:
        node: where they run.
        reporter: is told of workers that end.
        printer: gets the pods' output.
        restart_seconds: the kubelet's first pause before a container that failed twice.
        with_workers: print the workers' output too.
        worker_attempts: how many times a worker may run in all; None is no limit.
    """

    node: Node
    reporter: Reporter
    printer: LogPrinter
    restart_seconds: float
    with_workers: bool = True
    worker_attempts: int | None = None
    _running: dict[str, Pod] = field(default_factory=dict)
    _exits: dict[str, Exit] = field(default_factory=dict)
    _failures: dict[str, int] = field(default_factory=dict)
    _due: dict[str, tuple[float, Pod]] = field(default_factory=dict)
    _failed: dict[str, tuple[Pod, Exit]] = field(default_factory=dict)
    _hosts: dict[str, str] = field(default_factory=dict)
    _follower: LogFollower = field(default_factory=LogFollower)
    _watch: ContainerWatch = field(init=False)

    def __post_init__(self) -> None:
        self._watch = ContainerWatch(self.node.engine)

    def start(self, pods: Iterable[Pod], *, started: Callable[[Pod], None]) -> None:
        """Start pods in parallel and call back, in this thread, for each that runs."""
        batch = tuple(pods)
        for pod in batch:
            self.node.prepare(pod)
        for pod in _in_parallel(self.node.start, batch):
            self._track(pod)
            started(pod)

    def restart(self, pod: Pod) -> None:
        """Start a pod's container anew."""
        self.node.restart(pod)
        self._track(pod)

    def workers(self) -> tuple[Pod, ...]:
        """Return the workers that run now."""
        return tuple(pod for pod in self._running.values() if pod.role is Role.WORKER)

    def is_running(self, pod: Pod) -> bool:
        """Tell whether the pod has not ended, as far as ``tick`` has seen."""
        return container_name(pod) in self._running

    def failed_worker(self) -> tuple[Pod, Exit] | None:
        """Return the first worker that has failed and will not run again, or None."""
        return next(iter(self._failed.values()), None)

    def exit_of(self, pod: Pod) -> Exit | None:
        """Return how the pod ended, or None while it runs."""
        return self._exits.get(pod.name)

    def tick(self) -> None:
        """Wait a moment; print what came, note who ended, restart workers that are due."""
        ended = self._watch.wait(_TICK_SECONDS)
        self._print(self._follower.poll())
        for name in ended:
            self._ended(self._running.pop(name))
        for name, (due, pod) in tuple(self._due.items()):
            if time.monotonic() >= due:
                del self._due[name]
                self.restart(pod)

    def close(self) -> None:
        """Print the rest of the output and stop watching."""
        self._watch.close()
        self._print(self._follower.finish())

    def _track(self, pod: Pod) -> None:
        name = container_name(pod)
        self._running[name] = pod
        self._exits.pop(pod.name, None)
        self._hosts[pod.name] = pod.hostname
        self._watch.add(name)
        if self.with_workers or pod.role is Role.LAUNCHER:
            self._follower.add(pod.name, self.node.log_file(pod))

    def _ended(self, pod: Pod) -> None:
        ended = self._exits[pod.name] = self.node.exit_of(pod)
        if pod.role is Role.WORKER:
            self.reporter.warn(f"{pod.name} ended: {ended.reason}")
            if ended.code:
                self._worker_failed(pod, ended)

    def _worker_failed(self, pod: Pod, ended: Exit) -> None:
        """Start the worker again when the kubelet would, or note that it has failed for good."""
        failures = self._failures[pod.name] = self._failures.get(pod.name, 0) + 1
        spent = self.worker_attempts is not None and failures >= self.worker_attempts
        if not pod.restarts or ended.gone or spent:
            self._failed[pod.name] = (pod, ended)
            return
        policy = RetryPolicy(0, in_place=True, base_seconds=self.restart_seconds)
        self._due[pod.name] = (time.monotonic() + policy.pause_seconds(failures), pod)

    def _print(self, lines: Iterable[tuple[str, LogLine]]) -> None:
        for name, line in lines:
            self.printer.write(self._hosts[name], line)
        self.printer.flush()


def _in_parallel(action: Callable[[Pod], None], pods: tuple[Pod, ...]) -> Iterator[Pod]:
    """Do something with all pods at the same time; yield each pod when it is done.

    A failure is raised when nothing is under way any more; what has not begun never begins.
    """
    limit = max(1, min(_MOST_STARTS_AT_ONCE, len(pods), 4 * (os.cpu_count() or 1)))
    pool = ThreadPoolExecutor(limit, thread_name_prefix="pod")
    try:
        futures = {pool.submit(action, pod): pod for pod in pods}
        for future in as_completed(futures):
            future.result()
            yield futures[future]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
