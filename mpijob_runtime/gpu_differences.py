"""How the GPUs of a job's hosts differ; a job is as fast as its slowest GPU.

Layer: pure; imports differences for the table, facts, hosts and outcome for words.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from mpijob_runtime.differences import format_table
from mpijob_runtime.facts import GpuHostFacts
from mpijob_runtime.hosts import short_name
from mpijob_runtime.lists import format_list

_SHOWN_HOSTS = 2
_GIB = 1 << 30


def find_gpu_differences(
    hosts: Mapping[str, GpuHostFacts],
) -> dict[str, dict[str, list[str]]]:
    """Return what is compared -> value in words -> hosts, where not all are the same.

    Compared are GPUs that work, by number, name, memory, driver, CUDA, MIG and NVLink. Serial
    matters (UUIDs, slots of the bus) are not: they always differ.
    """
    compared = {name: _compared(facts) for name, facts in hosts.items()}
    found: dict[str, dict[str, list[str]]] = {}
    for label in next(iter(compared.values()), {}):
        values: dict[str, list[str]] = {}
        for name, words in compared.items():
            values.setdefault(words[label], []).append(name)
        if len(values) > 1:
            found[label] = values
    return found


def format_gpu_differences(differences: Mapping[str, Mapping[str, list[str]]]) -> str:
    """Return a table for people, or nothing if there is no difference."""
    return format_table("hosts differ in their GPUs:", differences, _format_hosts)


def _compared(facts: GpuHostFacts) -> dict[str, str]:
    whole = [gpu for gpu in facts.gpus if gpu.fault is None]
    parts = [part.profile or "?" for gpu in whole for part in gpu.mig_instances]
    memory = ["?" if g.memory_bytes is None else f"{g.memory_bytes / _GIB:.1f} GiB" for g in whole]
    return {
        "GPUs": str(len(whole)),
        "GPU names": _count_alike([gpu.name or "?" for gpu in whole]),
        "GPU memory": _count_alike(memory),
        "MIG instances": _count_alike(parts),
        "links": _count_alike([link.level for link in facts.links]),
        "driver": facts.driver_version or "none",
        "CUDA of the driver": facts.cuda_version or "none",
    }


def _count_alike(values: Sequence[str]) -> str:
    counted = sorted(Counter(values).items())
    return ", ".join(f"{number} x {value}" for value, number in counted) or "none"


def _format_hosts(hosts: list[str]) -> str:
    return format_list([short_name(name) for name in hosts], most=_SHOWN_HOSTS)
