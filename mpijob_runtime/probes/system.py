"""This container: user, processors, memory, privileges, devices.

Layer: probe; the only importer of psutil; imports facts.
"""

import os
import pwd
import re
import socket
from collections.abc import Callable

import psutil

from mpijob_runtime.facts import SystemFacts, UserFacts
from mpijob_runtime.run_dir import takes_files

# linux/capability.h; the ones without which a root sshd cannot work, and the usual suspects
_CAPABILITIES = {0: "CHOWN", 6: "SETGID", 7: "SETUID", 10: "NET_BIND_SERVICE", 18: "SYS_CHROOT"}
_UNLIMITED_BYTES = 1 << 60
ReadText = Callable[[str], str]


def read_text(path: str) -> str:
    """Return a small file's text, or nothing if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def probe_user() -> UserFacts:
    """Look this process's user up in the user database."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return UserFacts(uid, gid, None, None, None)
    return UserFacts(uid, gid, entry.pw_name, entry.pw_dir, entry.pw_shell)


def probe_system(temporary: str, *, read: ReadText = read_text) -> SystemFacts:
    """Ask the kernel and the cgroup about this container.

    Args:
        temporary: the directory for temporary files.
        read: returns a file's text, or nothing; tests pass recorded files.
    """
    status = read("/proc/self/status")
    return SystemFacts(
        hostname=socket.gethostname(),
        cpus=count_cpus(len(psutil.Process().cpu_affinity() or [0]), read=read),
        memory_limit_bytes=memory_limit(psutil.virtual_memory().total, read=read),
        capabilities=parse_capabilities(status),
        no_new_privileges=re.search(r"^NoNewPrivs:\s*1$", status, re.MULTILINE) is not None,
        ptrace_scope=int(read("/proc/sys/kernel/yama/ptrace_scope").strip() or "0"),
        rdma_devices=_list_directory("/sys/class/infiniband"),
        writable_tmp=takes_files(temporary),
    )


def parse_capabilities(status: str) -> frozenset[str]:
    """Return the effective capabilities that /proc/PID/status shows, of those that matter."""
    match = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    bits = int(match[1], 16) if match else 0
    return frozenset(name for bit, name in _CAPABILITIES.items() if bits >> bit & 1)


def count_cpus(affinity: int, *, read: ReadText = read_text) -> int:
    """Return the processors that the affinity mask and the cgroup's quota (v2, v1) leave."""
    quota, period = _quota(read)
    if quota <= 0 or period <= 0:
        return max(1, affinity)
    return max(1, min(affinity, -(-quota // period)))


def memory_limit(total_bytes: int, *, read: ReadText = read_text) -> int | None:
    """Return the cgroup's memory limit (v2, v1) in bytes, or None if the machine is the limit."""
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = read(path).strip()
        if text.isdigit() and int(text) < min(total_bytes, _UNLIMITED_BYTES):
            return int(text)
    return None


def _quota(read: ReadText) -> tuple[int, int]:
    words = read("/sys/fs/cgroup/cpu.max").split()
    if not words:
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        words = [read(f"/sys/fs/cgroup/cpu/{name}").strip() for name in names]
    numbers = [int(word) if word.lstrip("-").isdigit() else 0 for word in words]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else (0, 0)  # noqa: PLR2004


def _list_directory(path: str) -> tuple[str, ...]:
    try:
        return tuple(sorted(os.listdir(path)))
    except OSError:
        return ()
