"""How much memory a rank may fill with arrays: what the host and the pod's limit leave, shared."""

import torch

from mpijob_runtime.cgroups import memory_limit

_BOOT_ID = "/proc/sys/kernel/random/boot_id"


def boot_id() -> str:
    """Return what tells this kernel's run from all others; empty if it is not shown."""
    return _read(_BOOT_ID).strip()


def available_bytes(device: torch.device, *, sharing_pod: int, sharing_machine: int) -> int:
    """Return what one rank may take.

    Args:
        device: where its arrays will be.
        sharing_pod: ranks in this container.
        sharing_machine: ranks on this machine, in whatever containers.
    """
    if device.type == "cuda":
        free_bytes: int = torch.cuda.mem_get_info(device)[0]
        return free_bytes
    total, free = (_meminfo(name) for name in ("MemTotal", "MemAvailable"))
    shares = [free // sharing_machine]
    limit = memory_limit(total)
    if limit is not None:
        shares.append(max(0, limit - _used_by_pod()) // sharing_pod)
    return min(shares)


def _meminfo(name: str) -> int:
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def _used_by_pod() -> int:
    """Return what the container has in use, without files that the kernel can drop (v2, v1)."""
    for root, current in (
        ("/sys/fs/cgroup", "memory.current"),
        ("/sys/fs/cgroup/memory", "memory.usage_in_bytes"),
    ):
        used = _read(f"{root}/{current}").strip()
        if used.isdigit():
            stat = dict(line.split()[:2] for line in _read(f"{root}/memory.stat").splitlines())
            return int(used) - int(stat.get("inactive_file", 0))
    return 0


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""
