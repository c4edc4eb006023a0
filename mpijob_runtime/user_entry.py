"""Gives a UID that the image does not know a place in the user database.

OpenShift runs containers under a random UID. ssh and sshd refuse a user without an entry, and
the entry that CRI-O injects has no login shell. libnss-extrausers is asked before /etc/passwd in
our images and reads a file in memory, so that /etc/passwd need not be writable.

Layer: effects (file system); imports errors, facts, probes.system.
"""

import os

from mpijob_runtime.errors import ConfigurationError
from mpijob_runtime.facts import UserFacts
from mpijob_runtime.probes.system import probe_user

EXTRA_USERS = "/var/lib/extrausers"
"""Where libnss-extrausers reads; a link into memory in our images."""

USER_NAME = "mpiuser"
"""One name whatever the UID: ssh asks for the launcher's own name on the workers."""

LEAST_UID = 500
"""libnss-extrausers leaves lower ids to the system's own files, so no entry can become root."""

_OTHER_GID = 65534


def ensure_user_entry(user: UserFacts, *, home: str | None) -> UserFacts:
    """Return the user as the database shows it, after adding an entry if one is needed.

    Args:
        user: as probed.
        home: the home directory that the container's environment gives, if any.

    Raises:
        ConfigurationError: if there is no usable entry and none can be added.
    """
    if user.can_log_in:
        return user
    if user.uid < LEAST_UID:
        raise _cannot(user, f"a UID below {LEAST_UID} cannot be added")
    try:
        _write_entry(user, home or "/tmp")  # noqa: S108 - a home that exists everywhere
    except OSError as error:
        raise _cannot(user, f"{EXTRA_USERS}: {error.strerror}") from error
    added = probe_user()
    if not added.can_log_in:
        raise _cannot(user, "libnss-extrausers is not set up in /etc/nsswitch.conf")
    return added


def format_entry(uid: int, gid: int, home: str) -> str:
    """Return the passwd line; a low group would make libnss-extrausers skip it."""
    shown_gid = gid if gid >= LEAST_UID else _OTHER_GID
    safe_home = home if home.startswith("/") and not set(home) & set(":\n") else "/"
    return f"{USER_NAME}:x:{uid}:{shown_gid}:MPI job:{safe_home}:/bin/sh\n"


def _write_entry(user: UserFacts, home: str) -> None:
    directory = os.path.realpath(EXTRA_USERS)
    os.makedirs(directory, mode=0o755, exist_ok=True)
    draft = f"{directory}/passwd.{os.getpid()}"
    with open(draft, "w", encoding="utf-8") as file:
        file.write(format_entry(user.uid, user.gid, home))
    os.chmod(draft, 0o644)
    os.replace(draft, f"{directory}/passwd")


def _cannot(user: UserFacts, reason: str) -> ConfigurationError:
    found = "no entry in the user database" if user.name is None else f"login shell {user.shell}"
    message = f"UID {user.uid}: found {found}, wanted one that sshd lets in; {reason}"
    remedy = f"run as a UID from {LEAST_UID} up, or use an mpijob-runtime image as the base"
    return ConfigurationError(message, remedy=remedy)
