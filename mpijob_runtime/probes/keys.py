"""Where the job's ssh key is: MPIJOB_SSH_DIR, ~/.ssh, /root/.ssh, then the mount table.

Layer: probe; imports facts.
"""

import os
import stat
from collections.abc import Iterator

from mpijob_runtime.facts import KeyFacts, UserFacts
from mpijob_runtime.processes import read_text
from mpijob_runtime.settings import Settings

KEY_NAMES = ("id_rsa", "id_ecdsa", "ssh-privatekey", "identity")
"""File names of private keys, the operators' first: they call every kind ``id_rsa``."""

_MARK = b"PRIVATE KEY-----"
_MARK_WITHIN_BYTES = 256


def find_job_key(settings: Settings, user: UserFacts) -> KeyFacts | None:
    """Return the job's key in this container, if there is any sign of one."""
    return find_key(
        given=settings.ssh_dir,
        home=user.home or settings.environ.get("HOME"),
        mounts=read_text("/proc/self/mounts"),
    )


def find_key(*, given: str | None, home: str | None, mounts: str) -> KeyFacts | None:
    """Return the first key found, readable or not.

    A directory that cannot be looked into still counts if something is mounted there: then the
    key exists, and who owns the directory is why it is out of reach.

    Args:
        given: the directory that the user named; then no other is looked at.
        home: the user's home directory.
        mounts: text of /proc/self/mounts.
    """
    mounted = tuple(_ssh_mounts(mounts))
    usual = (f"{home}/.ssh" if home else "", "/root/.ssh", *mounted)
    for directory in (given,) if given else dict.fromkeys(d for d in usual if d):
        found = _look_into(directory, is_mounted=directory in mounted)
        if found is not None:
            return found
    return None


def _look_into(directory: str, *, is_mounted: bool) -> KeyFacts | None:
    for name in KEY_NAMES:
        path = f"{directory}/{name}"
        try:
            found = os.stat(path)
        except PermissionError:
            return KeyFacts(path, directory, None, None, readable=False) if is_mounted else None
        except OSError:
            continue
        mode = stat.S_IMODE(found.st_mode)
        try:
            with open(path, "rb") as file:
                is_key = _MARK in file.read(_MARK_WITHIN_BYTES)
        except PermissionError:
            return KeyFacts(path, directory, found.st_uid, mode, readable=False)
        except OSError:
            continue
        if is_key:
            return KeyFacts(path, directory, found.st_uid, mode, readable=True)
    return None


def _ssh_mounts(mounts: str) -> Iterator[str]:
    """Yield mount points that may be a mounted ssh secret.

    The operators mount the secret at any path the user chose, so every mount point outside the
    kernel's own trees is a candidate; those with ``ssh`` in their name come first.
    """
    points = [line.split()[1] for line in mounts.splitlines() if len(line.split()) > 1]
    kept = [p.replace("\\040", " ") for p in points if not p.startswith(("/proc", "/sys", "/dev"))]
    yield from sorted((p for p in kept if p != "/"), key=lambda p: "ssh" not in p)
