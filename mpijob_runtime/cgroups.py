"""What this container's cgroup leaves of the machine (v2, then v1).

Layer: probe (files); imports processes for a file's text; quick to import: each host's agent pays.
"""

from __future__ import annotations

from mpijob_runtime.processes import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


_UNLIMITED_BYTES = 1 << 60


def count_cpus(affinity: int, *, read: Callable[[str], str] = read_text) -> int:
    """Return the processors that the affinity mask and the cgroup's quota (v2, v1) leave."""
    quota, period = _quota(read)
    if quota <= 0 or period <= 0:
        return max(1, affinity)
    return max(1, min(affinity, -(-quota // period)))


def memory_limit(total_bytes: int, *, read: Callable[[str], str] = read_text) -> int | None:
    """Return the cgroup's memory limit (v2, v1) in bytes, or None if the machine is the limit."""
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = read(path).strip()
        if text.isdigit() and int(text) < min(total_bytes, _UNLIMITED_BYTES):
            return int(text)
    return None


def _quota(read: Callable[[str], str]) -> tuple[int, int]:
    words = read("/sys/fs/cgroup/cpu.max").split()
    if not words:
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        words = [read(f"/sys/fs/cgroup/cpu/{name}").strip() for name in names]
    numbers = [int(word) if word.lstrip("-").isdigit() else 0 for word in words]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else (0, 0)  # noqa: PLR2004
