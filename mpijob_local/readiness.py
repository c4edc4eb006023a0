"""Readiness probes of worker pods, as the kubelet runs them."""

import socket
import time
from dataclasses import dataclass, field

from mpijob_local.containers import container_name
from mpijob_local.models import Probe
from mpijob_local.pod import Pod
from mpijob_local.podman import Engine, PodmanError

# The kubelet's period is often 10 s; on one machine looking more often costs nothing.
_LONGEST_PERIOD_SECONDS = 1.0


@dataclass(slots=True)
class Readiness:
    """Whether a running pod is ready; asked again and again until it is.

    A pod without a readiness probe is ready as soon as it runs.
    """

    engine: Engine
    pod: Pod
    address: str
    ready: bool = False
    _successes: int = 0
    _next: float = field(default=0.0)

    def __post_init__(self) -> None:
        probe = self.pod.container.readiness_probe
        self._next = time.monotonic() + (probe.initial_delay_seconds if probe else 0)

    def check(self) -> bool:
        """Probe if it is time to, and return whether the pod is ready."""
        probe = self.pod.container.readiness_probe
        if self.ready or time.monotonic() < self._next:
            return self.ready
        if probe is None:
            self.ready = True
            return True
        self._next = time.monotonic() + min(probe.period_seconds, _LONGEST_PERIOD_SECONDS)
        self._successes = self._successes + 1 if self._probe(probe) else 0
        self.ready = self._successes >= probe.success_threshold
        return self.ready

    def _probe(self, probe: Probe) -> bool:
        if probe.tcp_socket is not None:
            return accepts_tcp(self.address, probe.tcp_socket.port, float(probe.timeout_seconds))
        command = probe.exec.command if probe.exec else ()
        name, limit = container_name(self.pod), float(probe.timeout_seconds)
        try:
            done = self.engine.run("exec", name, *command, accept=(), timeout_seconds=limit)
        except PodmanError:
            return False
        return done.exit_code == 0


def accepts_tcp(address: str, port: int, timeout_seconds: float) -> bool:
    """Tell whether something accepts a connection, as a tcpSocket probe does."""
    try:
        with socket.create_connection((address, port), timeout=timeout_seconds):
            return True
    except OSError:
        return False
