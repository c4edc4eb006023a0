"""Waits until every host accepts a login: in parallel, bounded, and with a reason per host.

Layer: effects (threads, clock); imports errors and probes.ssh.
"""

import heapq
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mpijob_runtime.errors import ConfigurationError, HostsNotReadyError
from mpijob_runtime.probes.ssh import HostRefusal, SshConnection

MOST_THREADS = 64
"""Hosts probed at one time; 16 to 64 threads are equally fast on two cores (measured)."""

LASTING_SECONDS = 30.0
"""A host that answers and says no for this long will not change its mind.

As long as cluster name services cache an address that now is another pod's (CoreDNS: 30 s).
"""

_FIRST_DELAY_SECONDS = 0.05
_DELAY_FACTOR = 1.6
_PATIENT_AFTER_SECONDS = 120.0
_PATIENT_DELAY_SECONDS = 2.0

Connect = Callable[[str], SshConnection]


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


def longest_delay_seconds(hosts: int, *, waited_seconds: float) -> float:
    """Return the longest pause between two probes of one host.

    Short enough that 64 hosts are seen within half a second of their start; longer for more
    hosts and once a wait has become a queue, to spare the cluster's name service.
    """
    quick = 0.4 * max(1.0, hosts / MOST_THREADS)
    return max(quick, _PATIENT_DELAY_SECONDS) if waited_seconds > _PATIENT_AFTER_SECONDS else quick


def wait_for_hosts(
    hosts: Sequence[str],
    connect: Connect,
    *,
    timeout_seconds: float,
    on_change: Callable[[HostChange], None] = lambda _change: None,
) -> dict[str, SshConnection]:
    """Log in to all hosts, trying again until the deadline.

    Args:
        hosts: names, each once.
        connect: probes one host once; raises HostRefusal.
        timeout_seconds: for all hosts together.
        on_change: called in a probing thread, one call at a time.

    Returns:
        An open connection for each host.

    Raises:
        HostsNotReadyError: if the deadline passes.
        ConfigurationError: if hosts answer and refuse this job's key for too long.
    """
    wait = _Wait(hosts, connect, timeout_seconds=timeout_seconds, on_change=on_change)
    return wait.run()


class _Wait:
    """One wait: a queue of probes by due time, worked on by a few threads."""

    def __init__(
        self,
        hosts: Sequence[str],
        connect: Connect,
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
        self._ready: dict[str, SshConnection] = {}
        self._failure: BaseException | None = None
        self._over = False

    def run(self) -> dict[str, SshConnection]:
        threads = [
            threading.Thread(target=self._work, daemon=True, name=f"probe-{number}")
            for number in range(min(MOST_THREADS, len(self._hosts)))
        ]
        for thread in threads:
            thread.start()
        try:
            with self._changed:
                self._changed.wait_for(self._is_over, timeout=self._timeout_seconds)
                self._over = True
                self._changed.notify_all()
            self._raise_if_missing()
        except BaseException:
            self._over = True
            for connection in list(self._ready.values()):
                connection.close()
            raise
        return {host: self._ready[host] for host in self._hosts}

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
        while (host := self._next()) is not None:
            try:
                self._probe(host)
            except BaseException as error:  # noqa: BLE001 - a thread must not swallow a bug
                with self._changed:
                    self._failure = error
                    self._changed.notify_all()
                return

    def _probe(self, host: str) -> None:
        try:
            connection = self._connect(host)
        except HostRefusal as refusal:
            self._note_refusal(host, refusal)
        else:
            self._note_ready(host, connection)

    def _next(self) -> str | None:
        """Return the next host to probe, when it is due; None when all is over."""
        with self._changed:
            while not self._over and not self._is_over():
                pause = self._due[0][0] - time.monotonic() if self._due else None
                if pause is not None and pause <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(pause)
        return None

    def _note_ready(self, host: str, connection: SshConnection) -> None:
        with self._changed:
            if self._over:
                connection.close()
                return
            self._ready[host] = connection
            self._tell(host, None)
            self._changed.notify_all()

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
            self._changed.notify_all()

    def _plan_next(self, host: str, now: float) -> None:
        delay = self._delays[host]
        most = longest_delay_seconds(len(self._hosts), waited_seconds=now - self._began)
        self._delays[host] = min(delay * _DELAY_FACTOR, most)
        due = now + delay * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
        heapq.heappush(self._due, (due, 0, host))

    def _tell(self, host: str, refusal: HostRefusal | None) -> None:
        waited = time.monotonic() - self._began
        self._on_change(HostChange(host, refusal, len(self._ready), len(self._hosts), waited))


def _lasting(refusals: Mapping[str, HostRefusal], hosts: Mapping[str, float]) -> ConfigurationError:
    lines = "\n".join(f"  {host}: {refusals[host]}" for host in hosts)
    message = f"{len(hosts)} hosts answer but refuse this job for {LASTING_SECONDS:.0f} s:\n{lines}"
    remedy = "check that launcher and workers mount the same ssh secret and run as the same user"
    return ConfigurationError(message, remedy=remedy)
