"""What is to be said of the hosts: each finding with its value, its limit and a remedy.

Layer: pure; imports observed, sizes.
"""

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from mpijob_bench.preflight.observed import Observed, Pair
from mpijob_bench.sizes import format_bytes, format_rate, format_time
from mpijob_bench.transports import transport_of
from mpijob_runtime.hosts import short_name

SLOWEST_NODE = 0.95
"""Of the median: a job is as fast as its slowest node, and 5 % is a third of what 85 % allows."""

SLOWEST_PAIR = 0.8
"""Of the median: a ring goes over one link of each host, and is as fast as the slowest."""

LEAST_SHM_BYTES = 1 << 30
"""NCCL's troubleshooting page asks for 1 GiB (--shm-size=1g); without GPUs it is data loaders'."""

_SHOWN = 4
Value = float | str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: of it.
        ok: whether it is as it should be.
        required: whether a benchmark is worth nothing without it; else it is a warning.
        value: what was found.
        limit: what was wanted, or None if it is only told.
        remedy: what to do; empty if it is ok.
    """

    name: str
    ok: bool
    required: bool
    value: Value
    limit: Value
    remedy: str

    def to_json(self) -> dict[str, object]:
        """Return it as plain data."""
        return asdict(self)


def judge_hosts(
    observed: Observed, *, backend: str = "gloo", transport: str | None = None
) -> list[Finding]:
    """Return all findings.

    Args:
        observed: what ranks and the launch told.
        backend: whose messages were sent, gloo or nccl.
        transport: what the plan declares (tcp, ib); None if nothing is declared.
    """
    return [
        *_network(observed),
        *_mtu(observed),
        _transport(observed, backend, transport),
        *_clocks(observed),
        _shm(observed),
        _memlock(observed),
        _nodes(observed),
        *_slowest_node(observed),
        *_slowest_pair(observed),
    ]


def observed_transport(observed: Observed, backend: str) -> str | None:
    """Return tcp, ib or NCCL's own name of another network; None if NCCL's log does not tell."""
    if backend != "nccl":
        return "tcp"  # all that Gloo has
    net = str((observed.nccl or {}).get("net") or "")
    return transport_of(net) if net else None


def _network(observed: Observed) -> Iterator[Finding]:
    if len(observed.hosts) > 1:
        name = str(observed.network["name"]) if observed.network else None
        remedy = "mpijob-runtime launch says why no network works between all hosts"
        found = name is not None
        yield _finding("data network", name, "one that all have", remedy, ok=found)


def _mtu(observed: Observed) -> Iterator[Finding]:
    interfaces = (observed.network or {}).get("interfaces", {})
    found: Counter[int] = Counter()
    for host, name in interfaces.items():
        known = observed.machines.get(host, {}).get("interfaces", ())
        found.update(entry["mtu"] for entry in known if entry["name"] == name)
    if found:
        value = ", ".join(f"{mtu} on {count}" for mtu, count in found.items())
        remedy = "give the interface one MTU on all hosts and on the switch"
        yield _finding("MTU", value, "one on all hosts", remedy, ok=len(found) == 1)


def _transport(observed: Observed, backend: str, declared: str | None) -> Finding:
    found = observed_transport(observed, backend)
    remedy = "RDMA needs devices in the pods and libraries in the image; see docs/gpus.md"
    return _finding("transport", found, declared, remedy, ok=declared in (None, found))


def _clocks(observed: Observed) -> Iterator[Finding]:
    if observed.clocks:
        host, (offset, trip) = max(observed.clocks.items(), key=lambda item: abs(item[1][0]))
        value = f"{format_time(abs(offset))} on {short_name(host)} (+-{format_time(trip / 2)})"
        yield Finding("clock offset", ok=True, required=False, value=value, limit=None, remedy="")


def _shm(observed: Observed) -> Finding:
    gpus = any(machine["gpu_driver"] for machine in observed.machines.values())
    host = min(observed.hosts, key=lambda name: _fact(observed, name, "shm_bytes"))
    size = _fact(observed, host, "shm_bytes")
    value = f"{size / 2**20:.0f} MiB on {short_name(host)}"
    remedy = "mount an emptyDir with medium: Memory at /dev/shm"
    limit = format_bytes(LEAST_SHM_BYTES)
    enough = size >= LEAST_SHM_BYTES
    return _finding("/dev/shm", value, limit, remedy, ok=enough, required=gpus)


def _memlock(observed: Observed) -> Finding:
    rdma = any(machine["rdma"] for machine in observed.machines.values())
    limited = [host for host in observed.hosts if _fact(observed, host, "memlock_bytes") >= 0]
    value = f"limited on {_some(limited)}" if limited else "unlimited"
    remedy = "RDMA pins memory: raise LimitMEMLOCK of the container runtime, or add IPC_LOCK"
    return _finding("memlock", value, "unlimited", remedy, ok=not limited, required=rdma)


def _nodes(observed: Observed) -> Finding:
    boots = [machine["boot_id"] for machine in observed.machines.values()]
    distinct = len(set(boots)) if all(boots) else 0  # a kernel that hides it tells nothing
    hosts = len(observed.hosts)
    value = f"{distinct or 'unknown'} for {hosts} hosts"
    remedy = "spread workers by podAntiAffinity; in emulation this is as it must be"
    limit = "one for each host"
    ok = distinct == hosts
    return _finding("physical nodes", value, limit, remedy, ok=ok, required=False)


def _slowest_node(observed: Observed) -> Iterator[Finding]:
    speeds = observed.speeds
    if len(speeds) < 2:  # noqa: PLR2004 - nothing to compare with
        return
    slowest = min(speeds, key=speeds.__getitem__)
    index = speeds[slowest] / statistics.median(speeds.values())
    remedy = "leave this host out, or look at its clocks, temperature, limits and neighbours"
    shared = not _nodes(observed).ok  # hosts on one machine take turns: nothing to be learnt
    yield _finding(
        f"slowest node: {short_name(slowest)}",
        round(index, 4),
        SLOWEST_NODE,
        remedy,
        ok=index >= SLOWEST_NODE,
        required=not shared,
    )


def _slowest_pair(observed: Observed) -> Iterator[Finding]:
    rates = observed.pairs
    if rates:
        pair: Pair = min(rates, key=rates.__getitem__)
        median = statistics.median(rates.values())
        index = rates[pair] / median
        remedy = f"median of all pairs {format_rate(median)}: look at this pair's links and switch"
        name = f"slowest pair: {' - '.join(map(short_name, pair))}, {format_rate(rates[pair])}"
        ok = index >= SLOWEST_PAIR
        yield _finding(name, round(index, 4), SLOWEST_PAIR, remedy, ok=ok)


def _finding(
    name: str, value: Value, limit: Value, remedy: str, *, ok: bool, required: bool = True
) -> Finding:
    return Finding(name, ok, required, value, limit, "" if ok else remedy)


def _fact(observed: Observed, host: str, name: str) -> int:
    return int(observed.machines[host][name])


def _some(hosts: Sequence[str]) -> str:
    shown = ", ".join(map(short_name, hosts[:_SHOWN]))
    return f"{shown} and {len(hosts) - _SHOWN} more" if len(hosts) > _SHOWN else shown
