"""Directories and files as the kubelet lays them into a pod.

Layer: effects on a directory that the caller owns; knows nothing of podman.
"""

import os
import secrets
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mpijob_local.pod import Item

# pkg/volume/volume_linux.go: what fsGroup adds to a read-only and to a writable volume
_READ_ONLY_FILE, _WRITABLE_FILE = 0o440, 0o660
_EXECUTE_DIRECTORY = 0o110
_SETGID = 0o2000


@dataclass(frozen=True, slots=True)
class Ownership:
    """Who owns what the kubelet writes.

    Attributes:
        fs_group: the pod's fsGroup, or None for root.
        privileged: we may change owners; without root the user's own name space maps us to root.
    """

    fs_group: int | None
    privileged: bool

    def apply(self, path: Path, mode: int, *, read_only: bool) -> None:
        """Set owner and mode of a file or directory, with what fsGroup adds to the mode."""
        if self.fs_group is not None:
            mode |= _READ_ONLY_FILE if read_only else _WRITABLE_FILE
            if path.is_dir():
                mode |= _SETGID | _EXECUTE_DIRECTORY
        if self.privileged:
            os.chown(path, 0, self.fs_group or 0)
        path.chmod(mode)


def write_projection(
    volume: Path,
    items: Iterable[Item],
    data: Mapping[str, bytes],
    *,
    owner: Ownership,
    volume_mode: int,
) -> None:
    """Write or update a secret or configMap volume.

    The files lie in a directory named after the time, ``..data`` points to it and each visible
    name points through ``..data``, so that an update shows all files at once (the kubelet's
    pkg/volume/util/atomic_writer.go).

    Args:
        volume: the volume's directory.
        items: which key appears as which file, with its mode.
        data: content by key.
        owner: owner and group of everything.
        volume_mode: mode of the volume itself: 01777 for a secret (tmpfs), 0777 for a configMap.
    """
    volume.mkdir(parents=True, exist_ok=True)
    owner.apply(volume, volume_mode, read_only=True)
    now = datetime.now(UTC).strftime("..%Y_%m_%d_%H_%M_%S")
    payload = volume / f"{now}.{secrets.randbelow(10**10)}"
    payload.mkdir()
    owner.apply(payload, 0o755, read_only=True)
    for item in items:
        _write(payload / item.path, data[item.key])
        owner.apply(payload / item.path, item.mode, read_only=True)
    _publish(volume, payload)
    for item in items:
        if not (volume / item.path).is_symlink():
            (volume / item.path).symlink_to(f"..data/{item.path}")


def _publish(volume: Path, payload: Path) -> None:
    """Point ``..data`` at the payload in one step and remove what it pointed at."""
    current = volume / "..data"
    previous = volume / current.readlink() if current.is_symlink() else None
    (volume / "..data_tmp").symlink_to(payload.name)
    (volume / "..data_tmp").rename(current)
    if previous is not None:
        shutil.rmtree(previous)


def _write(path: Path, content: bytes) -> None:
    # Created closed: a key must not be readable before its mode is set.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def make_empty_dir(volume: Path, *, owner: Ownership, sub_paths: Iterable[str] = ()) -> None:
    """Make an emptyDir, and the directories that mounts name by ``subPath``."""
    volume.mkdir(parents=True)
    owner.apply(volume, 0o777, read_only=False)
    for sub_path in filter(None, sub_paths):
        below = volume / sub_path
        below.mkdir(parents=True, exist_ok=True)
        owner.apply(below, 0o777, read_only=False)


def write_termination_log(path: Path) -> None:
    """Make the empty, world-writable file behind ``/dev/termination-log``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    path.chmod(0o666)


def hosts_text(address: str, *, hostname: str, subdomain: str, namespace: str) -> str:
    """Return ``/etc/hosts`` as the kubelet writes it for a pod with a subdomain."""
    domain = f"{hostname}.{subdomain}.{namespace}.svc.cluster.local"
    return (
        "# Kubernetes-managed hosts file.\n"
        "127.0.0.1\tlocalhost\n"
        "::1\tlocalhost ip6-localhost ip6-loopback\n"
        "fe00::0\tip6-localnet\n"
        "fe00::0\tip6-mcastprefix\n"
        "fe00::1\tip6-allnodes\n"
        "fe00::2\tip6-allrouters\n"
        f"{address}\t{domain}\t{hostname}\n"
    )
