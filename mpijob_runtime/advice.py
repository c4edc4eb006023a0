"""What the hosts' limits mean for the ranks on them: warnings for people.

Layer: pure; imports binding, clocks, facts, gpu_differences, host_differences, hosts, lists,
rank_environ.
"""

from collections.abc import Iterable, Mapping, Sequence

from mpijob_runtime.binding import bind_local_ranks
from mpijob_runtime.clocks import describe_clocks
from mpijob_runtime.facts import GpuHostFacts, HostFacts
from mpijob_runtime.gpu_differences import find_gpu_differences, format_gpu_differences
from mpijob_runtime.host_differences import find_host_differences, format_host_differences
from mpijob_runtime.hosts import short_name
from mpijob_runtime.lists import format_list
from mpijob_runtime.rank_environ import Findings

_SMALL_SHM_BYTES = 64 << 20
"""What container engines give without being asked; NCCL's own guide asks for a gigabyte."""

_SMALL_MEMLOCK_BYTES = 64 << 20
"""RDMA registers all buffers; NCCL and UCX want no limit, and defaults are 64 KiB to 8 MiB."""

_SHOWN_HOSTS = 4
_SHM = "/dev/shm"  # noqa: S108 - a name in words for people


def advise(found: Findings, places: Mapping[str, Sequence[int]]) -> list[str]:
    """Return a sentence for each thing that will slow or break ranks, with the hosts it is about.

    Args:
        found: by the hosts' survey.
        places: host -> its ranks.
    """
    about: dict[str, list[str]] = {}
    for host, facts in found.hosts.items():
        ranks = len(places.get(host, ()))
        of_gpus = _of_gpus(found.gpus.get(host), ranks)
        for sentence in (*_of_limits(facts, ranks), *of_gpus):
            about.setdefault(sentence, []).append(short_name(host))
    of = len(found.hosts)
    sentences = [f"{_names(names, of)}: {sentence}" for sentence, names in about.items()]
    table = format_gpu_differences(find_gpu_differences(_all_gpus(found)))
    return [text for text in (*sentences, table, *_of_differences(found, places)) if text]


def _of_differences(found: Findings, places: Mapping[str, Sequence[int]]) -> Iterable[str]:
    """Compare the hosts that have ranks; a launcher without any may be as it is."""
    hosts = {host: facts for host, facts in found.hosts.items() if places.get(host)}
    clocks = {host: offset for host, offset in found.clocks.items() if places.get(host)}
    yield format_host_differences(find_host_differences(hosts))
    yield describe_clocks(clocks)


def _all_gpus(found: Findings) -> dict[str, GpuHostFacts]:
    """Return the GPUs of each host; a host without a driver has none, if others have one."""
    if not found.gpus:
        return {}
    return {host: found.gpus.get(host, GpuHostFacts()) for host in found.hosts}


def _of_gpus(gpus: GpuHostFacts | None, ranks: int) -> Iterable[str]:
    if gpus is None:
        return
    yield from gpus.errors[:_SHOWN_HOSTS]
    if ranks:
        yield from bind_local_ranks(gpus, gpus.allowed_cpus, ranks).warnings


def _of_limits(facts: HostFacts, ranks: int) -> Iterable[str]:
    closed = [device.name for device in facts.rdma if not device.usable]
    if closed and not facts.usable_rdma:
        yield (
            f"{', '.join(closed[:_SHOWN_HOSTS])} cannot be opened by this container, so MPI and"
            " NCCL use TCP\n  next: ask for your RDMA device plugin's resource in the pod's limits"
        )
    memlock = facts.memlock_bytes
    if facts.usable_rdma and memlock is not None and memlock < _SMALL_MEMLOCK_BYTES:
        yield (
            f"{memlock >> 10} KiB of memory may be locked, RDMA wants no limit\n"
            "  next: raise the container runtime's memlock limit, or add the capability IPC_LOCK"
        )
    if ranks > 1:
        yield from _of_shared_memory(facts, ranks)


def _of_shared_memory(facts: HostFacts, ranks: int) -> Iterable[str]:
    size, free = facts.shm_bytes, facts.shm_free_bytes
    if 0 < size <= _SMALL_SHM_BYTES:
        yield (
            f"{_SHM} has {size >> 20} MiB for {ranks} ranks; NCCL, Open MPI and data loaders share"
            f" memory there\n  next: mount an emptyDir with medium: Memory at {_SHM}"
        )
    elif free is not None and free <= _SMALL_SHM_BYTES < size:
        yield (
            f"{_SHM} has {free >> 20} MiB free of {size >> 20} MiB for {ranks} ranks; NCCL, Open"
            " MPI and data loaders share memory there\n"
            f"  next: see what was left there (ls -l {_SHM}), remove it or start the pod anew"
        )


def _names(names: Sequence[str], of: int) -> str:
    if len(names) == of and of > 1:
        return f"all {of} hosts"
    return format_list(names, most=_SHOWN_HOSTS)
