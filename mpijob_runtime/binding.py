"""Which GPU a local rank has, and which processors are near it.

Rank i has GPU i, in NVML's order. That is the order of the PCI bus; CUDA's own default order has
its fastest device first and leaves the rest open. The two agree for sure with
CUDA_DEVICE_ORDER=PCI_BUS_ID, and then ``cuda:LOCAL_RANK`` is the GPU that is told here. The UUID is
told as well: CUDA_VISIBLE_DEVICES takes it on every order. Parts of a GPU in MIG mode have to be
chosen that way, because CUDA shows a process one of them.

Layer: pure; imports facts, and outcome for words.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from mpijob_runtime.cpu_lists import format_cpu_list
from mpijob_runtime.facts import GpuFacts, GpuHostFacts
from mpijob_runtime.outcome import count, format_ranks


@dataclass(frozen=True, slots=True)
class LocalRankPlace:
    """Where a local rank works.

    Attributes:
        gpu: NVML's index, or None on a host without GPUs.
        uuid: the GPU's, or that of a part of it, for CUDA_VISIBLE_DEVICES; None if unknown.
        cpus: processors to bind it to; None to leave it unbound.
        reason: why it is bound so, or why it is not.
    """

    gpu: int | None
    uuid: str | None
    cpus: frozenset[int] | None
    reason: str


@dataclass(frozen=True, slots=True)
class HostBinding:
    """The places of a host's local ranks.

    Attributes:
        places: one for each local rank.
        warnings: what is odd about slots against GPUs, a sentence each.
    """

    places: tuple[LocalRankPlace, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Unit:
    """What one rank can have: a GPU, or a part of one."""

    gpu: GpuFacts
    uuid: str | None


def bind_local_ranks(
    host: GpuHostFacts | None, allowed_cpus: Iterable[int], local_ranks: int
) -> HostBinding:
    """Give each local rank a GPU and processors.

    A rank is bound to the processors near its GPU that the cpuset allows, together with the other
    ranks there: they are not split, because a rank's data loaders need room. It is left unbound
    where that would forbid nothing (one NUMA node), or leave less than a processor for each rank.

    Args:
        host: the GPUs, or None.
        allowed_cpus: the cpuset of the container; ``GpuHostFacts.allowed_cpus`` on that host.
        local_ranks: how many ranks the host has.
    """
    units = _units(host)
    if not units:
        place = LocalRankPlace(None, None, None, "no GPU")
        return HostBinding((place,) * local_ranks, _warn_of_faults(host))
    allowed = frozenset(allowed_cpus)
    chosen = [units[rank % len(units)] for rank in range(local_ranks)]
    near = [frozenset(unit.gpu.cpus) & allowed for unit in chosen]
    crowds = Counter(near)
    places = []
    for unit, cpus in zip(chosen, near, strict=True):
        refusal = _why_unbound(unit.gpu, cpus, allowed, crowds[cpus])
        reason = refusal or f"processors {format_cpu_list(cpus)} are near GPU {unit.gpu.index}"
        bound = None if refusal else cpus
        places.append(LocalRankPlace(unit.gpu.index, unit.uuid, bound, reason))
    return HostBinding(tuple(places), (*_warn_of_faults(host), *_warn_of_count(units, local_ranks)))


def _units(host: GpuHostFacts | None) -> list[_Unit]:
    units: list[_Unit] = []
    for gpu in host.gpus if host else ():
        if gpu.fault is not None:
            continue
        if gpu.mig_enabled:
            units += [_Unit(gpu, part.uuid) for part in gpu.mig_instances]
        else:
            units.append(_Unit(gpu, gpu.uuid))
    return units


def _why_unbound(
    gpu: GpuFacts, cpus: frozenset[int], allowed: frozenset[int], ranks: int
) -> str | None:
    if not gpu.cpus:
        return f"which processors are near GPU {gpu.index} is unknown"
    if cpus == allowed:
        return "all processors of this container are near its GPU"
    if len(cpus) < ranks:
        return (
            f"of the processors near GPU {gpu.index} the cpuset leaves {len(cpus)}"
            f" for {count(ranks, 'rank')}"
        )
    return None


def _warn_of_faults(host: GpuHostFacts | None) -> tuple[str, ...]:
    gpus = host.gpus if host else ()
    return tuple(f"GPU {gpu.index} is not used: {gpu.fault}" for gpu in gpus if gpu.fault)


def _warn_of_count(units: list[_Unit], local_ranks: int) -> tuple[str, ...]:
    users: dict[int, list[int]] = {}
    for rank in range(local_ranks):
        users.setdefault(units[rank % len(units)].gpu.index, []).append(rank)
    shared = [(gpu, ranks) for gpu, ranks in users.items() if len(ranks) > 1]
    parts = any(unit.gpu.mig_enabled for unit in units)
    found = f"{len(units)} GPUs or MIG instances" if parts else count(len(units), "GPU")
    head = f"{count(local_ranks, 'slot')}, {found}"
    if shared:
        gpu, ranks = shared[0]
        more = f", and so on for {len(shared)} GPUs" if len(shared) > 1 else ""
        refused = "NCCL refuses two ranks on one GPU (Duplicate GPU detected)"
        return (f"{head}: local {format_ranks(ranks)} share GPU {gpu}{more}; {refused}",)
    if local_ranks < len(units):
        return (f"{head}: {len(units) - local_ranks} of {len(units)} are left idle",)
    return ()
