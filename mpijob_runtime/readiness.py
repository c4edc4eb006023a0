"""Waits until every host accepts a login: in parallel, bounded, and with a reason per host.

Layer: effects (threads, clock); imports errors and refusal.
"""

import heapq
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from mpijob_runtime.errors import ConfigurationError, HostsNotReadyError, describe_reasons
from mpijob_runtime.refusal import HostRefusal

MOST_THREADS = 64
"""Hosts probed at one time; 16 to 64 threads are equally fast on two cores (measured)."""

LASTING_SECONDS = 30.0
"""A host that answers and says no for this long will not change its mind.

As long as cluster name services cache an address that now is another pod's (CoreDNS: 30 s).
"""

_FIRST_DELAY_SECONDS = 0.05
_DELAY_FACTOR = 1.6
_SHORTEST_DELAY_SECONDS = 0.2
_MOST_PROBES_EACH_SECOND = 160.0
_PATIENT_PROBES_EACH_SECOND = 40.0
_PATIENT_AFTER_SECONDS = 120.0
_PATIENT_DELAY_SECONDS = 2.0


class Closable(Protocol):
    """What is kept of a host that is ready."""

    def close(self) -> None:
        """Give it up."""


Kept = TypeVar("Kept", bound=Closable)


@dataclass(frozen=True, slots=True)
class HostChange:
    """A host's state has changed.

    Attributes:
        host: its name.
        refusal: why it is not ready, or None if it is.
        ready: how many hosts are ready now.
        total: how many there are.
        waited_seconds: since the wait began.
    """

    host: str
    refusal: HostRefusal | None
    ready: int
    total: int
    waited_seconds: float


def longest_delay_seconds(missing: int, *, waited_seconds: float) -> float:
    """Return the longest pause between two probes of one host.

    Few missing hosts are asked so often that each is seen within half a second of its start, after
    however long a wait. Many share 160 questions a second, and 40 once a wait has become a queue,
    to spare the cluster's name service.

    Args:
        missing: hosts that are not ready.
        waited_seconds: since the wait began.
    """
    quick = max(_SHORTEST_DELAY_SECONDS, missing / _MOST_PROBES_EACH_SECOND)
    if waited_seconds <= _PATIENT_AFTER_SECONDS:
        return quick
    return max(quick, min(_PATIENT_DELAY_SECONDS, missing / _PATIENT_PROBES_EACH_SECOND))


def wait_for_hosts(
    hosts: Sequence[str],
    connect: Callable[[str], Kept],
    *,
    timeout_seconds: float,
    on_change: Callable[[HostChange], None] = lambda _change: None,
) -> dict[str, Kept]:
    """Log in to all hosts, trying again until the deadline.

    Args:
        hosts: names, each once.
        connect: probes one host once; raises HostRefusal.
        timeout_seconds: for all hosts together.
        on_change: called in a probing thread, one call at a time.

    Returns:
        What ``connect`` gave for each host.

    Raises:
        HostsNotReadyError: if the deadline passes.
        ConfigurationError: if hosts answer and refuse this job's key for too long.
    """
    wait = _Wait(hosts, connect, timeout_seconds=timeout_seconds, on_change=on_change)
    return wait.run()


class _Wait(Generic[Kept]):
    """One wait: probes by due time, handed out by the waiting thread to a few others."""

    def __init__(
        self,
        hosts: Sequence[str],
        connect: Callable[[str], Kept],
        *,
        timeout_seconds: float,
        on_change: Callable[[HostChange], None],
    ) -> None:
        self._hosts = hosts
        self._connect = connect
        self._on_change = on_change
        self._began = time.monotonic()
        self._timeout_seconds = timeout_seconds
        self._changed = threading.Condition()
        self._due = [(self._began, number, host) for number, host in enumerate(hosts)]
        self._delays = dict.fromkeys(hosts, _FIRST_DELAY_SECONDS)
        self._refusals: dict[str, HostRefusal] = {}
        self._refused_since: dict[str, float] = {}
        self._ready: dict[str, Kept] = {}
        self._failure: BaseException | None = None
        self._probes: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._over = False

    def run(self) -> dict[str, Kept]:
        threads = [
            threading.Thread(target=self._work, daemon=True, name=f"probe-{number}")
            for number in range(min(MOST_THREADS, len(self._hosts)))
        ]
        for thread in threads:
            thread.start()
        try:
            with self._changed:
                self._hand_out()
                self._over = True
            self._raise_if_missing()
        except BaseException:
            self._over = True
            for connection in list(self._ready.values()):
                connection.close()
            raise
        finally:
            for _ in threads:
                self._probes.put(None)
        return {host: self._ready[host] for host in self._hosts}

    def _hand_out(self) -> None:
        """Hand each host to the threads when it is due, until all is over or the time is.

        One thread waits for what is due and wakes one other: if all did, they would wake each other
        for each of 1,000 hosts.
        """
        deadline = self._began + self._timeout_seconds
        while not self._is_over() and (now := time.monotonic()) < deadline:
            while self._due and self._due[0][0] <= now:
                self._probes.put(heapq.heappop(self._due)[2])
            next_due = self._due[0][0] if self._due else deadline
            self._changed.wait(min(next_due, deadline) - now)

    def _is_over(self) -> bool:
        return self._failure is not None or len(self._ready) == len(self._hosts)

    def _raise_if_missing(self) -> None:
        if self._failure is not None:
            raise self._failure
        if len(self._ready) < len(self._hosts):
            raise HostsNotReadyError(
                self._reasons(),
                waited_seconds=time.monotonic() - self._began,
                total=len(self._hosts),
            )

    def _reasons(self) -> dict[str, str]:
        missing = (host for host in self._hosts if host not in self._ready)
        return {h: str(self._refusals.get(h, "tcp: no answer yet")) for h in missing}

    def _work(self) -> None:
        while (host := self._probes.get()) is not None and not self._over:
            try:
                self._probe(host)
            except BaseException as error:  # noqa: BLE001 - a thread must not swallow a bug
                with self._changed:
                    self._failure = error
                    self._changed.notify()
                return

    def _probe(self, host: str) -> None:
        try:
            connection = self._connect(host)
        except HostRefusal as refusal:
            self._note_refusal(host, refusal)
        else:
            self._note_ready(host, connection)

    def _note_ready(self, host: str, connection: Kept) -> None:
        with self._changed:
            if self._over:
                connection.close()
                return
            self._ready[host] = connection
            self._tell(host, None)
            if self._is_over():
                self._changed.notify()

    def _note_refusal(self, host: str, refusal: HostRefusal) -> None:
        with self._changed:
            if self._over:
                return
            now = time.monotonic()
            former = self._refusals.get(host)
            self._refusals[host] = refusal
            if former is None or str(former) != str(refusal):
                self._tell(host, refusal)
            if not refusal.lasting:
                self._refused_since.pop(host, None)
            elif now - self._refused_since.setdefault(host, now) >= LASTING_SECONDS:
                self._failure = _lasting(self._refusals, self._refused_since)
            self._plan_next(host, now)
            self._changed.notify()

    def _plan_next(self, host: str, now: float) -> None:
        delay = self._delays[host]
        missing = len(self._hosts) - len(self._ready)
        most = longest_delay_seconds(missing, waited_seconds=now - self._began)
        self._delays[host] = min(delay * _DELAY_FACTOR, most)
        due = now + min(delay, most) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
        heapq.heappush(self._due, (due, 0, host))

    def _tell(self, host: str, refusal: HostRefusal | None) -> None:
        waited = time.monotonic() - self._began
        self._on_change(HostChange(host, refusal, len(self._ready), len(self._hosts), waited))


def _lasting(refusals: Mapping[str, HostRefusal], hosts: Mapping[str, float]) -> ConfigurationError:
    lines = "\n".join(describe_reasons({host: str(refusals[host]) for host in hosts}))
    message = f"{len(hosts)} hosts answer but refuse this job for {LASTING_SECONDS:.0f} s:\n{lines}"
    remedy = "check that launcher and workers mount the same ssh secret and run as the same user"
    return ConfigurationError(message, remedy=remedy)
