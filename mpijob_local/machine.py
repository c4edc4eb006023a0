"""Which of podman's settings this machine needs, if any.

An ordinary machine (cgroup v2, systemd, a user's rootless podman) needs none and keeps its own.
Containers without systemd, hybrid cgroups or a root that may not raise limits need a few.
"""

import os
import resource
import shutil
from dataclasses import dataclass
from pathlib import Path

from mpijob_local.podman import Engine, Podman, read_json
from mpijob_local.settings import LocalSettings

_CAP_SYS_RESOURCE = 24
# podman's default for rootful containers
_PODMAN_NOFILE = 1_048_576


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What podman and the kernel say about this machine.

    Attributes:
        runtime: the OCI runtime that podman would take.
        has_runc: there is runc to fall back to.
        raises_limits: containers may get higher limits than we have.
    """

    runtime: str
    has_runc: bool
    cgroup_version: str
    cgroup_manager: str
    events_logger: str
    has_systemd: bool
    network_backend: str
    has_netavark: bool
    raises_limits: bool
    nofile_hard: int
    nproc_hard: int
    rootless: bool
    selinux: bool


def podman_for(settings: LocalSettings) -> tuple[Podman, MachineFacts]:
    """Return podman set up for this machine, and what was found.

    A ``CONTAINERS_CONF`` of the user's own is left alone.
    """
    plain = Podman(settings.environ)
    facts = probe_machine(plain)
    text = "" if settings.podman_settings else settings_text(facts)
    if not text:
        return plain, facts
    path = settings.home / "containers.conf"
    _write_if_changed(path, text)
    return Podman({**settings.environ, "CONTAINERS_CONF": str(path)}), facts


def probe_machine(engine: Engine) -> MachineFacts:
    """Ask podman and the kernel."""
    info = read_json(engine, "info", "--format=json")
    host, security = info["host"], info["host"]["security"]
    return MachineFacts(
        runtime=host["ociRuntime"]["name"],
        has_runc=_finds("runc"),
        cgroup_version=host["cgroupVersion"],
        cgroup_manager=host["cgroupManager"],
        events_logger=host["eventLogger"],
        has_systemd=Path("/run/systemd/system").is_dir(),
        network_backend=host["networkBackend"],
        has_netavark=_finds("netavark"),
        raises_limits=_raises_limits(rootless=security["rootless"]),
        nofile_hard=_hard_limit(resource.RLIMIT_NOFILE),
        nproc_hard=min(_hard_limit(resource.RLIMIT_NPROC), _pid_max()),
        rootless=security["rootless"],
        selinux=security["selinuxEnabled"],
    )


def settings_text(facts: MachineFacts) -> str:
    """Return a containers.conf with what the machine needs, or an empty text."""
    tables = {
        "containers": _container_settings(facts),
        "engine": _engine_settings(facts),
        "network": _network_settings(facts),
    }
    return "".join(
        f"[{table}]\n" + "".join(f"{line}\n" for line in lines)
        for table, lines in tables.items()
        if lines
    )


def _container_settings(facts: MachineFacts) -> list[str]:
    """Lower the default limits where root lacks CAP_SYS_RESOURCE: every container would fail."""
    if facts.raises_limits or facts.nofile_hard >= _PODMAN_NOFILE:
        return []
    nofile, nproc = facts.nofile_hard, facts.nproc_hard
    return [f'default_ulimits = ["nofile={nofile}:{nofile}", "nproc={nproc}:{nproc}"]']


def _engine_settings(facts: MachineFacts) -> list[str]:
    lines = []
    # crun refuses cgroup v1 beside v2 (hybrid), whatever it is told about cgroups.
    if facts.runtime == "crun" and facts.cgroup_version == "v1" and facts.has_runc:
        lines.append('runtime = "runc"')
    if not facts.has_systemd and facts.cgroup_manager == "systemd":
        lines.append('cgroup_manager = "cgroupfs"')
    if not facts.has_systemd and facts.events_logger == "journald":
        lines.append('events_logger = "file"')
    return lines


def _network_settings(facts: MachineFacts) -> list[str]:
    """Prefer netavark: with CNI the names of the pods do not resolve."""
    if facts.network_backend != "netavark" and facts.has_netavark:
        return ['network_backend = "netavark"']
    return []


def _finds(program: str) -> bool:
    # podman looks in its own directories too.
    path = os.pathsep.join((os.defpath, "/usr/sbin", "/usr/libexec/podman", "/usr/lib/podman"))
    return shutil.which(program, path=path) is not None


def _raises_limits(*, rootless: bool) -> bool:
    """Tell whether limits are no concern: rootless podman already keeps to ours."""
    if rootless:
        return True
    return bool(effective_capabilities() >> _CAP_SYS_RESOURCE & 1)


def effective_capabilities() -> int:
    """Return this process's effective capabilities, a bit for each as in linux/capability.h."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return int(effective.split()[1], 16)


def _hard_limit(kind: int) -> int:
    hard = resource.getrlimit(kind)[1]
    return _PODMAN_NOFILE if hard == resource.RLIM_INFINITY else hard


def _pid_max() -> int:
    return int(Path("/proc/sys/kernel/pid_max").read_text(encoding="ascii"))


def _write_if_changed(path: Path, text: str) -> None:
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_text(text, encoding="utf-8")
