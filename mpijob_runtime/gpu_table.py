"""The GPUs of a host for people: a line for each, and who is how far from whom.

Layer: pure; imports cpu_lists and facts.
"""

from collections.abc import Sequence

from mpijob_runtime.cpu_lists import format_cpu_list
from mpijob_runtime.facts import GpuFacts, GpuHostFacts

_GIB = 1 << 30


def format_gpu_host(host: GpuHostFacts) -> str:
    """Return the GPUs, a table of links and all that is wrong."""
    lines = []
    if host.driver_version:
        lines.append(f"NVIDIA driver {host.driver_version}, up to CUDA {host.cuda_version or '?'}")
    for gpu in host.gpus:
        lines.append(_describe(gpu))
        lines += [
            f"  MIG {p.profile or '?'}, {_memory(p.memory_bytes)}, {p.uuid}"
            for p in gpu.mig_instances
        ]
    if host.driver_version and not host.gpus:
        lines.append("no GPU")
    if not lines and not host.errors:
        lines.append("no NVIDIA driver")
    lines += _format_links(host)
    lines += [f"not read: {error}" for error in host.errors]
    return "\n".join(lines)


def _describe(gpu: GpuFacts) -> str:
    if gpu.fault is not None:
        known = ", ".join(text for text in (gpu.name, gpu.uuid) if text)
        return f"GPU {gpu.index}: {gpu.fault}{f'; {known}' if known else ''}"
    words = [gpu.name or "unknown model", _memory(gpu.memory_bytes), gpu.uuid or "no UUID"]
    words += [gpu.pci_bus_id] if gpu.pci_bus_id else []
    words += [] if gpu.numa_node is None else [f"NUMA node {gpu.numa_node}"]
    words += [f"near processors {format_cpu_list(gpu.cpus)}"] if gpu.cpus else []
    words += ["MIG mode"] if gpu.mig_enabled else []
    words += [gpu.compute_mode] if gpu.compute_mode not in (None, "default") else []
    words += [] if gpu.persistence is not False else ["no persistence"]
    if gpu.ecc_volatile_uncorrected or gpu.ecc_aggregate_uncorrected:
        errors = f"{gpu.ecc_volatile_uncorrected or 0} now, {gpu.ecc_aggregate_uncorrected or 0}"
        words.append(f"uncorrected memory errors: {errors} ever")
    words += [f"the driver asks: {gpu.recovery_action}"] if gpu.recovery_action else []
    words += [f"throttled: {reason}" for reason in gpu.throttle_reasons]
    return f"GPU {gpu.index}: {', '.join(words)}"


def _memory(size_bytes: int | None) -> str:
    return "unknown memory" if size_bytes is None else f"{size_bytes / _GIB:.1f} GiB"


def _format_links(host: GpuHostFacts) -> list[str]:
    """Return a table like that of ``nvidia-smi topo -m``, for two devices or more."""
    if not host.links and not host.nics:
        return []
    levels = {(link.first, link.second): link.level for link in host.links}
    names = [f"GPU{gpu.index}" for gpu in host.gpus]
    rows = [["", *names]]
    for gpu in host.gpus:
        cells = ["X" if gpu is other else levels.get(_pair(gpu, other), "-") for other in host.gpus]
        rows.append([f"GPU{gpu.index}", *cells])
    rows += [[nic.name, *(level or "-" for level in nic.levels)] for nic in host.nics]
    return _align(rows)


def _pair(one: GpuFacts, other: GpuFacts) -> tuple[int, int]:
    first, second = sorted((one.index, other.index))
    return first, second


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    width = max(len(cell) for row in rows for cell in row) + 1
    return ["".join(f"{cell:<{width}}" for cell in row).rstrip() for row in rows]
