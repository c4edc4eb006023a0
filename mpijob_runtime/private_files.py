"""Private files: a directory of mode 0700, files of mode 0600 that change in one step.

Layer: effects (file system); imports errors.
"""

import os
import resource
import stat

from mpijob_runtime.errors import ConfigurationError

_PRIVATE = 0o700
_OWN_DESCRIPTORS = 128


def make_run_dir(path: str) -> None:
    """Make the directory with mode 0700, or check that an existing one is ours alone.

    Raises:
        ConfigurationError: if it cannot be made, or belongs to somebody else.
    """
    remedy = "set MPIJOB_RUN_DIR to a directory that this user can make, best on a tmpfs"
    try:
        os.makedirs(path, mode=_PRIVATE, exist_ok=True)
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            message = f"{path}: found an entry of user {found.st_uid}, wanted our own directory"
            raise ConfigurationError(message, remedy=remedy)
        if stat.S_IMODE(found.st_mode) != _PRIVATE:
            os.chmod(path, _PRIVATE)
    except OSError as error:
        message = f"{path}: cannot make the directory for private files: {error.strerror}"
        raise ConfigurationError(message, remedy=remedy) from error


def write_private(path: str, text: str) -> None:
    """Write a file of mode 0600 whole: readers see the old text or the new one.

    Raises:
        ConfigurationError: if it cannot be written.
    """
    draft = f"{path}.{os.getpid()}"
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(draft, path)
    except OSError as error:
        message = f"{path}: cannot write: {error.strerror}"
        raise ConfigurationError(message, remedy="free some space or set MPIJOB_RUN_DIR") from error


def allow_descriptors(connections: int) -> None:
    """Raise the soft limit of open files, if this many connections need it and the hard one lets.

    No higher than needed: programs inherit it, and old ones walk through all descriptors.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + _OWN_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < needed:
        most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
