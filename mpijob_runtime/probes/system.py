"""This container: user, processors, memory, privileges, devices.

Layer: probe; imports facts.
"""

import os
import pwd
import re
import socket
from collections.abc import Callable

from mpijob_runtime.cgroups import count_cpus, memory_limit
from mpijob_runtime.facts import SystemFacts, UserFacts
from mpijob_runtime.processes import read_text
from mpijob_runtime.run_dir import takes_files

# linux/capability.h; the ones without which a root sshd cannot work, and the usual suspects
_CAPABILITIES = {0: "CHOWN", 6: "SETGID", 7: "SETUID", 10: "NET_BIND_SERVICE", 18: "SYS_CHROOT"}


def probe_user() -> UserFacts:
    """Look this process's user up in the user database."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return UserFacts(uid, gid, None, None, None)
    return UserFacts(uid, gid, entry.pw_name, entry.pw_dir, entry.pw_shell)


def probe_system(temporary: str, *, read: Callable[[str], str] = read_text) -> SystemFacts:
    """Ask the kernel and the cgroup about this container.

    Args:
        temporary: the directory for temporary files.
        read: returns a file's text, or nothing; tests pass recorded files.
    """
    status = read("/proc/self/status")
    return SystemFacts(
        hostname=socket.gethostname(),
        cpus=count_cpus(len(os.sched_getaffinity(0)), read=read),
        memory_limit_bytes=memory_limit(_memory_bytes(), read=read),
        capabilities=parse_capabilities(status),
        no_new_privileges=re.search(r"^NoNewPrivs:\s*1$", status, re.MULTILINE) is not None,
        ptrace_scope=int(read("/proc/sys/kernel/yama/ptrace_scope").strip() or "0"),
        writable_tmp=takes_files(temporary),
    )


def _memory_bytes() -> int:
    """Return how much memory this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def parse_capabilities(status: str) -> frozenset[str]:
    """Return the effective capabilities that /proc/PID/status shows, of those that matter."""
    match = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    bits = int(match[1], 16) if match else 0
    return frozenset(name for bit, name in _CAPABILITIES.items() if bits >> bit & 1)
