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

LIMITS = ("nofile", "nproc", "memlock", "stack", "core")
"""Limits of resources in which nodes differ, by the names of limits.conf(5)."""

_SHM = "/dev/shm"  # noqa: S108 - asked for its size


def describe_machine() -> dict[str, object]:
    """Return processors, networks, limits and whether there is a GPU driver."""
    shm_bytes, shm_free_bytes = _sizes(_SHM)
    allowed = os.sched_getaffinity(0)
    nodes = list_cpu_nodes()
    return {
        "cpus": count_cpus(len(allowed)),
        "cpu_nodes": nodes,
        "allowed_cpus": sorted(allowed) if nodes else [],
        "interfaces": list_interfaces(),
        "rdma": list_rdma_devices(),
        "memlock_bytes": _limit("memlock"),
        "shm_bytes": shm_bytes,
        "shm_free_bytes": shm_free_bytes,
        "gpu_driver": has_driver(),
        "limits": {name: _limit(name) for name in LIMITS},
        "umask": _umask(),
    }


def _limit(name: str) -> int:
    """Return what holds now, not what it may be raised to; -1 is no limit."""
    return resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))[0]


def _umask() -> int:
    mask = os.umask(0o077)  # there is no other way to ask
    os.umask(mask)
    return mask


def _sizes(path: str) -> tuple[int, int]:
    """Return the bytes of a file system, and how many of them are free."""
    try:
        found = os.statvfs(path)
    except OSError:
        return 0, 0
    return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
