"""What this host shows without a library: for the launcher, in the agent's first word.

Layer: probe (kernel); imports cgroups, gpu_driver, interfaces, numa, rdma.
"""

from __future__ import annotations

import os
import resource

from mpijob_runtime.cgroups import count_cpus
from mpijob_runtime.gpu_driver import has_driver
from mpijob_runtime.interfaces import list_interfaces
from mpijob_runtime.numa import list_cpu_nodes
from mpijob_runtime.rdma import list_rdma_devices


def describe_machine() -> dict[str, object]:
    """Return processors, networks, limits and whether there is a GPU driver."""
    allowed = os.sched_getaffinity(0)
    nodes = list_cpu_nodes()
    return {
        "cpus": count_cpus(len(allowed)),
        "cpu_nodes": nodes,
        "allowed_cpus": sorted(allowed) if nodes else [],
        "interfaces": list_interfaces(),
        "rdma": list_rdma_devices(),
        "memlock_bytes": resource.getrlimit(resource.RLIMIT_MEMLOCK)[0],
        "shm_bytes": _size("/dev/shm"),  # noqa: S108 - asked for its size
        "gpu_driver": has_driver(),
    }


def _size(path: str) -> int:
    try:
        found = os.statvfs(path)
    except OSError:
        return 0
    return found.f_blocks * found.f_frsize
