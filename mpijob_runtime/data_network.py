"""The network for the ranks' data: what could be it, and which one is.

A network counts only if every host reaches the next one on it; its name proves nothing.

Layer: pure; imports facts, lists.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_interface

from mpijob_runtime.facts import HostFacts, InterfaceFacts
from mpijob_runtime.lists import format_list

_ALIKE = 0.9
"""Rates that differ by less are taken for the same; then the first network in order counts."""

_MOST_CANDIDATES = 16
_SHOWN = 4


@dataclass(frozen=True, slots=True)
class End:
    """A host's end of a network.

    Attributes:
        interface: its name there.
        address: without a prefix length.
        mtu: in bytes.
    """

    interface: str
    address: str
    mtu: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network that all hosts have.

    Attributes:
        label: how people know it: its interface's name, else its subnet.
        family: 4 or 6.
        ends: host -> its end.
    """

    label: str
    family: int
    ends: Mapping[str, End] = field(hash=False)

    def __str__(self) -> str:
        """Return the name, and the family where it is not the usual one."""
        return self.label if self.family == 4 else f"{self.label} (IPv6)"  # noqa: PLR2004


@dataclass(frozen=True, slots=True)
class DataNetwork:
    """The network that works between all hosts.

    Attributes:
        candidate: the one that was chosen.
        mbit_per_second: of the slowest pair of neighbours, or None if it was not measured.
        others: name of each other -> its rate in Mbit/s, or why it does not work.
    """

    candidate: Candidate
    mbit_per_second: float | None = None
    others: Mapping[str, float | str] = field(default_factory=dict, hash=False)

    def to_json(self) -> dict[str, object]:
        """Return it as plain data."""
        rate = self.mbit_per_second
        return {
            "name": self.candidate.label,
            "family": f"IPv{self.candidate.family}",
            "interfaces": {host: end.interface for host, end in self.candidate.ends.items()},
            "mbit_per_second": None if rate is None else round(rate, 1),
            "others": {k: round(v, 1) if isinstance(v, float) else v for k, v in self._others()},
        }

    def _others(self) -> Iterable[tuple[str, float | str]]:
        return self.others.items()


def find_candidates(hosts: Mapping[str, HostFacts]) -> tuple[Candidate, ...]:
    """Return what could be a network of all hosts: IPv4 first, in the order of the first host.

    Interfaces belong together by name, and by subnet where that gives another network: names may
    be exchanged, or not be on all hosts.
    """
    found = [c for family in (4, 6) for c in _of_family(hosts, family)]
    return tuple(found[:_MOST_CANDIDATES])


def choose_network(
    rates: Mapping[Candidate, float | None], failed: Mapping[Candidate, str]
) -> DataNetwork | None:
    """Return the fastest network that works, or None if none does.

    Args:
        rates: each that works -> Mbit/s of its slowest pair, or None if it was not measured.
        failed: each other -> why.
    """
    if not rates:
        return None
    best = max(rate or 0.0 for rate in rates.values())
    chosen = next(c for c, rate in rates.items() if (rate or 0.0) >= _ALIKE * best)
    others: dict[str, float | str] = {
        str(c): "not measured" if rate is None else rate
        for c, rate in rates.items()
        if c is not chosen
    }
    others |= {str(c): why for c, why in failed.items()}
    return DataNetwork(chosen, rates[chosen], others)


def worth_measuring(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return those of the working networks between which only a measurement can choose.

    IPv6 is one only where IPv4 does not work: on the same wires it is no faster, and Open MPI is
    often built without it.
    """
    family = min((c.family for c in candidates), default=4)
    return tuple(c for c in candidates if c.family == family)


def describe_network(network: DataNetwork) -> str:
    """Return a network for people: ``net1 (478 Mbit/s; eth0 95 Mbit/s)``."""
    words = [] if network.mbit_per_second is None else [f"{network.mbit_per_second:.0f} Mbit/s"]
    for name, rate in network.others.items():
        words.append(f"{name} {rate if isinstance(rate, str) else f'{rate:.0f} Mbit/s'}")
    listed = format_list(words, most=1 + _SHOWN, between="; ")
    return f"{network.candidate} ({listed})" if words else str(network.candidate)


def describe_mtus(candidate: Candidate) -> str:
    """Return a sentence if the hosts' packet sizes on a network differ, else nothing."""
    sizes: dict[int, list[str]] = {}
    for host, end in candidate.ends.items():
        sizes.setdefault(end.mtu, []).append(host)
    if len(sizes) < 2:  # noqa: PLR2004 - all are the same
        return ""
    words = (f"{mtu} on {format_list(hosts, most=_SHOWN)}" for mtu, hosts in sorted(sizes.items()))
    return f"MTUs of {candidate} differ: {'; '.join(words)}"


def _of_family(hosts: Mapping[str, HostFacts], family: int) -> Iterable[Candidate]:
    ends = {host: _ends(facts.interfaces, family) for host, facts in hosts.items()}
    first = next(iter(ends.values()), {})
    named = [name for name in first if all(name in of_host for of_host in ends.values())]
    by_name = [{host: found[name][0] for host, found in ends.items()} for name in named]
    for name, by_host in zip(named, by_name, strict=True):
        yield Candidate(name, family, by_host)
    subnets = {h: {subnet: end for end, subnet in found.values()} for h, found in ends.items()}
    for subnet in next(iter(subnets.values()), {}):
        if all(subnet in found for found in subnets.values()):
            by_host = {host: found[subnet] for host, found in subnets.items()}
            if by_host not in by_name:
                yield Candidate(subnet, family, by_host)


def _ends(interfaces: Iterable[InterfaceFacts], family: int) -> dict[str, tuple[End, str]]:
    """Return name -> end and subnet, for interfaces with an address of this family."""
    found: dict[str, tuple[End, str]] = {}
    for interface in interfaces:
        for text in interface.addresses:
            address = ip_interface(text)
            if address.version == family:
                end = End(interface.name, str(address.ip), interface.mtu)
                found.setdefault(interface.name, (end, str(address.network)))
    return found


def interface_with(address: str, interfaces: Iterable[InterfaceFacts]) -> str | None:
    """Return the name of the interface that has an address, or None."""
    for interface in interfaces:
        if any(str(ip_interface(text).ip) == address for text in interface.addresses):
            return interface.name
    return None
