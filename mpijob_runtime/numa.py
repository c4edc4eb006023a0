"""Which processors are near which memory, for the launcher.

Layer: probe (kernel); imports processes for a file's text; quick to import: each host's agent pays.
"""

from __future__ import annotations

import os

from mpijob_runtime.processes import read_text

_NODES = "/sys/devices/system/node"


def list_cpu_nodes(place: str = _NODES) -> list[str]:
    """Return the processors of each NUMA node as the kernel writes them; nothing if there is one.

    Args:
        place: where the kernel tells it; tests have a directory of their own.
    """
    try:
        names = os.listdir(place)
    except OSError:
        return []
    numbers = sorted(int(name[4:]) for name in names if name[:4] == "node" and name[4:].isdigit())
    nodes = [read_text(f"{place}/node{number}/cpulist").strip() for number in numbers]
    nodes = [node for node in nodes if node]  # a node may have memory alone
    return nodes if len(nodes) > 1 else []
