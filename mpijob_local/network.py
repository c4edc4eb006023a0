"""Networks of its own for each job: internal bridges, the first with the cluster's names.

Layer: effects through podman and one kernel setting.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_network
from pathlib import Path

from mpijob_local.containers import JOB_LABEL, RUN_LABEL
from mpijob_local.podman import Engine, PodmanError
from mpijob_runtime.errors import ConfigurationError

# Not a range that podman, docker or the usual pod networks take by default.
_POOL = IPv4Network("10.180.0.0/14")
_SMALLEST_PREFIX = 24
# network address, gateway and broadcast
_RESERVED_ADDRESSES = 3
_ATTEMPTS = 20
POD_INTERFACE = "eth0"
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


@dataclass(frozen=True, slots=True)
class JobNetwork:
    """One of a job's networks.

    Attributes:
        name: podman's.
        interface: the name of its interface in the pods: ``eth0`` or, as Multus has it, ``net1``.
        bits_per_second: the rate of each pod's link; None is as fast as the machine.
    """

    name: str
    subnet: IPv4Network
    interface: str = POD_INTERFACE
    bits_per_second: int | None = None

    def address(self, index: int) -> IPv4Address:
        """Return the address of the index-th pod; the gateway has the first of the subnet."""
        return self.subnet[2 + index]


def network_name(namespace: str, job: str) -> str:
    """Return podman's name of a job's pod network."""
    return f"mpijob.{namespace}.{job}"


def create_networks(
    engine: Engine,
    rates: Iterable[int | None],
    *,
    namespace: str,
    job: str,
    pods: int,
    run: str,
) -> tuple[JobNetwork, ...]:
    """Create the networks of a job, the pod network first.

    Args:
        engine: podman.
        rates: of each network, in bits per second.
        namespace: of the job.
        job: its name.
        pods: how many addresses each network must have.
        run: identifier of the run.

    Raises:
        ConfigurationError: no free subnet; the last refusal is in the message.
    """
    labels = (f"--label={JOB_LABEL}={namespace}/{job}", f"--label={RUN_LABEL}={run}")
    networks = []
    for index, rate in enumerate(rates):
        name, interface = network_name(namespace, job), POD_INTERFACE
        if index:
            interface = f"net{index}"
            name = f"{name}.{interface}"  # no other job's, whose name has no dot
        # As in a cluster, only the pod network has names.
        options = ("--disable-dns",) if index else ()
        subnet = _create(engine, name, (*options, *labels), pods=pods)
        networks.append(JobNetwork(name, subnet, interface, rate))
    return tuple(networks)


def _create(engine: Engine, name: str, options: Iterable[str], *, pods: int) -> IPv4Network:
    """Create one network on a subnet that nobody else has."""
    refusal = "every subnet of the pool is in use"
    free = free_subnets(pods, (*_podman_subnets(engine), *_routed_subnets()))
    # Another job may take the same subnet between our look and podman's.
    for subnet, _ in zip(free, range(_ATTEMPTS), strict=False):
        try:
            engine.run("network", "create", "--internal", f"--subnet={subnet}", *options, name)
        except PodmanError as error:
            refusal = error.message
            continue
        return subnet
    message = f"no network {name}: {refusal}"
    raise ConfigurationError(message, remedy="mpijob-local ps lists the jobs that have one")


def free_subnets(pods: int, taken: Iterable[IPv4Network]) -> Iterator[IPv4Network]:
    """Yield subnets of the pool with room for the pods that overlap none of those taken."""
    prefix = min(_SMALLEST_PREFIX, 32 - (pods + _RESERVED_ADDRESSES).bit_length())
    used = tuple(taken)
    for subnet in _POOL.subnets(new_prefix=prefix):
        if not any(subnet.overlaps(other) for other in used):
            yield subnet


def _podman_subnets(engine: Engine) -> Iterator[IPv4Network]:
    names = engine.run("network", "ls", "--quiet").stdout.split()
    if not names:
        return
    # One that goes away meanwhile is no longer taken.
    done = engine.run(
        "network", "inspect", "--format={{range .Subnets}}{{.Subnet}} {{end}}", *names, accept=()
    )
    for text in done.stdout.split():
        subnet = ip_network(text, strict=False)
        if isinstance(subnet, IPv4Network):
            yield subnet


def _routed_subnets() -> Iterator[IPv4Network]:
    """Yield what the machine has routes to, the default route aside."""
    lines = Path("/proc/net/route").read_text(encoding="ascii").splitlines()[1:]
    for line in lines:
        fields = line.split()
        destination, mask = (int.from_bytes(bytes.fromhex(fields[i])[::-1]) for i in (1, 7))
        if mask:
            yield IPv4Network((destination, mask.bit_count()))


class Forwarding:
    """The kernel's IP forwarding, which netavark turns on for good; put back after the last job.

    Args:
        home: our state directory; the value found before the first job is kept there.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._saved = home / "ip_forward"

    def remember(self) -> None:
        """Note the value before a job's containers start."""
        with self._lock():
            if not self._saved.exists():
                self._saved.write_text(_FORWARDING.read_text(encoding="ascii"), encoding="ascii")

    def restore(self, engine: Engine) -> None:
        """Put the value back unless other containers may need it."""
        with self._lock():
            if not self._saved.exists() or engine.run("ps", "--quiet").stdout.strip():
                return
            before = self._saved.read_text(encoding="ascii")
            if os.access(_FORWARDING, os.W_OK) and before != _FORWARDING.read_text("ascii"):
                _FORWARDING.write_text(before, encoding="ascii")
            self._saved.unlink()

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self._home / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
