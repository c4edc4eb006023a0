"""The ranks' variables: what plan shows of them, and what the gate tells each host.

Layer: pure; imports bind_to, binding, carried, clocks, data_network, defaults, environ, facts.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mpijob_runtime import carried
from mpijob_runtime.bind_to import Binding, NodeShares, share_nodes
from mpijob_runtime.binding import bind_local_ranks
from mpijob_runtime.clocks import ClockOffset
from mpijob_runtime.data_network import DataNetwork
from mpijob_runtime.defaults import RANK_DEFAULTS, RankDefault, rank_defaults_for
from mpijob_runtime.environ import DECIDED_AT_LAUNCH, Source, Variable
from mpijob_runtime.facts import GpuHostFacts, HostFacts, RankFacts

_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, slots=True)
class RankVariable(Variable):
    """A variable of ranks.

    Attributes:
        by_host: host -> its value there, if it is not the same on all.
    """

    by_host: Mapping[str, str] = field(default_factory=dict)


_LONGEST_HOSTS = 1 << 16
"""Characters of all hosts' names; a variable of 128 KiB lets no program start (execve(2))."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What the hosts' survey has found.

    Attributes:
        hosts: host -> what its agent saw; one with ranks that is not among them may have anything.
        network: the one that works between them, or None.
        gpus: host -> what NVML told there, of hosts that have a driver.
        clocks: host -> how far its clock is from ours, where that is known.
    """

    hosts: Mapping[str, HostFacts] = field(default_factory=dict)
    network: DataNetwork | None = None
    gpus: Mapping[str, GpuHostFacts] = field(default_factory=dict)
    clocks: Mapping[str, ClockOffset] = field(default_factory=dict)


def rank_facts(ranks: Mapping[str, int], found: Findings) -> dict[str, RankFacts]:
    """Return host -> what decides the variables of its ranks, for hosts that are known.

    Args:
        ranks: host -> how many it has.
        found: by the survey.
    """
    hosts, network = found.hosts, found.network
    unknown = any(host not in hosts for host, number in ranks.items() if number)
    seen = unknown or any(facts.rdma for facts in hosts.values())
    usable = unknown or any(facts.usable_rdma for facts in hosts.values())
    everywhere = usable and all(
        host in hosts and hosts[host].usable_rdma for host, number in ranks.items() if number
    )
    ends = {} if network is None else network.candidate.ends
    return {
        host: RankFacts(
            interface=ends[host].interface if host in ends else None,
            family=4 if network is None else network.candidate.family,
            rdma_seen=seen,
            rdma_usable=usable,
            rdma_everywhere=everywhere,
            threads=max(1, hosts[host].cpus // max(1, number)),
            crowded=number > hosts[host].cpus,
            gpus=sum(1 for g in found.gpus.get(host, GpuHostFacts()).gpus if g.fault is None),
        )
        for host, number in ranks.items()
        if host in hosts
    }


def show_rank_environ(
    given: Mapping[str, str],
    forwarded: Mapping[str, str],
    facts: Mapping[str, RankFacts] | None = None,
    *,
    of_mpirun: Collection[str] = (),
) -> dict[str, RankVariable]:
    """Return the variables of ranks for people.

    Args:
        given: the launcher's environment, of which ranks get what they lack.
        forwarded: what ``--env`` gives to the ranks.
        facts: host -> of its ranks, or None if only the launch knows them.
        of_mpirun: names of variables that were decided for mpirun, which passes them on.
    """
    found = facts.values() if facts else ()
    rows = [row for row in RANK_DEFAULTS if facts is None or any(map(row.applies, found))]
    asked = {**given, **forwarded}
    shown: dict[str, RankVariable] = {}
    for row in rows:
        if not asked.keys().isdisjoint(row.unless):
            continue
        if row.name in asked:
            user = RankVariable(asked[row.name], "user", "set by the user, left alone")
            shown[row.name] = user
        elif row.name not in of_mpirun:
            other = shown.get(row.name)
            shown[row.name] = _undecided(row, other) if facts is None else _decided(row, facts)
    return shown


def gate_words(
    told: Iterable[str],
    places: Mapping[str, Sequence[int]],
    found: Findings,
    binding: Binding = Binding(),  # noqa: B008 - frozen
) -> dict[str, dict[str, str]]:
    """Return host -> what its agent is told at the gate.

    ``all.NAME`` is for every rank on the host, ``3.NAME`` for rank 3, and ``all.NAME!OTHER`` for
    those that have no ``OTHER``.

    Args:
        told: hosts with an agent; ranks may be spawned there later.
        places: host -> its ranks, of the whole job.
        found: by the survey.
        binding: who binds ranks.
    """
    numbers = dict.fromkeys(told, 0) | {host: len(ranks) for host, ranks in places.items()}
    words: dict[str, dict[str, str]] = {host: {} for host in numbers}
    for host, facts in rank_facts(numbers, found).items():
        for row in rank_defaults_for(facts):
            words[host][f"all.{'!'.join((row.name, *row.unless))}"] = _value(row, facts)
        words[host] |= _places_on(host, sorted(places.get(host, ())), found, binding)
    order = sorted((host for host in places if places[host]), key=lambda host: min(places[host]))
    names = ",".join(order)
    for number, host in enumerate(order):
        words[host][f"all.{carried.NODE_RANK}"] = str(number)
        if len(names) <= _LONGEST_HOSTS:
            words[host][f"all.{carried.HOSTS}"] = names
    return words


def show_binding(slots: Mapping[str, int], found: Findings, binding: Binding) -> dict[str, str]:
    """Return host -> to which processors its ranks will be bound, or why not, for people."""
    if not binding.at_gate:
        return {}
    shown = {}
    for host, number in slots.items():
        gpus = found.gpus.get(host)
        if gpus is not None and gpus.gpus:
            places = bind_local_ranks(gpus, gpus.allowed_cpus, number).places
            shown[host] = "; ".join(dict.fromkeys(place.reason for place in places))
        elif host in found.hosts:
            shown[host] = _shares_on(host, number, found, binding).reason
    return shown


def _shares_on(host: str, ranks: int, found: Findings, binding: Binding) -> NodeShares:
    facts = found.hosts[host]
    return share_nodes(facts.cpu_nodes, facts.cpus, ranks, binding.threads)


def _places_on(
    host: str, ranks: Sequence[int], found: Findings, binding: Binding
) -> dict[str, str]:
    """Return which GPU and processors each rank of a host gets; local ranks are in rank order."""
    gpus = found.gpus.get(host)
    if gpus is None or not gpus.gpus:
        shares = _shares_on(host, len(ranks), found, binding).cpus if binding.at_gate else ()
        bound = zip(ranks, shares, strict=False)
        return {f"{rank}.{carried.CPUS}": _list(cpus) for rank, cpus in bound if cpus is not None}
    words = {}
    places = bind_local_ranks(gpus, gpus.allowed_cpus, len(ranks)).places
    for rank, place in zip(ranks, places, strict=True):
        if place.gpu is None:
            continue
        unless = f"!{_VISIBLE}"  # its own choice of GPUs: we do not know which is which
        if place.cpus is not None and binding.at_gate:
            words[f"{rank}.{carried.CPUS}{unless}"] = _list(place.cpus)
        if place.uuid is not None and place.uuid.startswith("MIG-"):
            # CUDA shows a process one part only, which must be its own
            words[f"{rank}.{carried.GPU}{unless}"] = "0"
            words[f"{rank}.{_VISIBLE}"] = place.uuid
        else:
            words[f"{rank}.{carried.GPU}{unless}"] = str(place.gpu)
    return words


def _list(cpus: Iterable[int]) -> str:
    """Return processors in the form that the wrapper reads."""
    return ",".join(map(str, sorted(cpus)))


def _undecided(row: RankDefault, other: RankVariable | None = None) -> RankVariable:
    """Return a row before its condition is known, after another row of the same variable."""
    if row.condition == "always" and "{" not in row.value:
        return RankVariable(row.value, "default", row.why)
    condition = "" if row.condition == "always" else f"; if {row.condition}"
    before = other.why if other else DECIDED_AT_LAUNCH
    return RankVariable(None, "probed", f"{before}{condition}: {row.why}")


def _decided(row: RankDefault, facts: Mapping[str, RankFacts]) -> RankVariable:
    values = {host: _value(row, found) for host, found in facts.items() if row.applies(found)}
    first = next(iter(values.values()))
    alike = len(set(values.values())) == 1 and len(values) == len(facts)
    source: Source = "default" if row.condition == "always" else "probed"
    return RankVariable(first, source, row.why, {} if alike else values)


def _value(row: RankDefault, facts: RankFacts) -> str:
    return row.value.format(interface=facts.interface, threads=facts.threads)
