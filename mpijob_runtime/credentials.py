"""The job's ssh key, copied to where ssh and sshd accept it.

A mounted secret has whatever mode and owner the operator chose; OpenSSH refuses a key of ours
that others can read. A private copy works in every case in which the key can be read at all.

Layer: effects (file system); imports environ, errors, facts, private_files.
"""

import os
import stat

from mpijob_runtime.environ import Paths
from mpijob_runtime.errors import ConfigurationError
from mpijob_runtime.facts import KeyFacts, UserFacts
from mpijob_runtime.private_files import write_private


def copy_key(key: KeyFacts | None, user: UserFacts, paths: Paths) -> str:
    """Copy the job's private key into the run directory and return the copy's path.

    Raises:
        ConfigurationError: if there is no key, or it cannot be read; with the remedy.
    """
    if key is None:
        raise ConfigurationError(
            "no ssh key: found none in MPIJOB_SSH_DIR, ~/.ssh, /root/.ssh or any mount",
            remedy="set spec.sshAuthMountPath, or MPIJOB_SSH_DIR to the directory of id_rsa",
        )
    text = _read(key.path) if key.readable else None
    if text is None:
        raise _unreadable(key, user)
    write_private(paths.key, text if text.endswith("\n") else text + "\n")
    return paths.key


def read_authorized_keys(key: KeyFacts) -> str:
    """Return the public keys that lie beside the private one, or nothing."""
    for name in ("authorized_keys", f"{os.path.basename(key.path)}.pub", "ssh-publickey"):
        text = _read(f"{key.directory}/{name}")
        if text and text.strip():
            return text
    return ""


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None


def _unreadable(key: KeyFacts, user: UserFacts) -> ConfigurationError:
    mode = "unknown" if key.mode is None else f"{key.mode:04o}"
    owner = "unknown" if key.owner is None else str(key.owner)
    found = f"owner {owner}, mode {mode}" if key.owner is not None else "a closed directory"
    message = f"{key.path}: found {found}, wanted a key that UID {user.uid} can read"
    return ConfigurationError(message, remedy=_remedy(key))


def _remedy(key: KeyFacts) -> str:
    """Return what makes the key readable, by what keeps it from being so."""
    if key.mode is not None and key.mode & stat.S_IRGRP:
        # Trainer's 0640: no other path would change it.
        return "set fsGroup in the pods' securityContext, so that the key's group is the pod's"
    return (
        "set sshAuthMountPath to a path other than /root/.ssh (mode 0644 there), "
        "or fsGroup in the pods' securityContext, or run as root"
    )
