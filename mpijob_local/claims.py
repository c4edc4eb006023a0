"""PersistentVolumeClaims, whose place a directory of this machine takes.

A directory that is missing is made so that every user may write into it; of one that is there
nothing is changed. None is ever removed.

Layer: parsing is pure; ``prepare_claims`` has effects on the directories.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from mpijob_local.kubelet import Ownership
from mpijob_local.pod import Mount, Pod, Security
from mpijob_runtime.errors import ConfigurationError, UsageError

# apimachinery's names of objects: DNS-1123 subdomains
_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")
_REMEDY = "--claim NAME=DIR, such as --claim results=./results"
_OPEN_MODE = 0o777
# to make files in a directory takes both
_OWNER, _GROUP, _OTHERS = (stat.S_IRWXU & 0o333, stat.S_IRWXG & 0o333, stat.S_IRWXO & 0o333)


def parse_claims(texts: Iterable[str]) -> dict[str, Path]:
    """Return the directory of each claim, absolute.

    Args:
        texts: ``NAME=DIR`` each.

    Raises:
        UsageError: no such pair, a name twice, or a path that is no directory.
    """
    claims: dict[str, Path] = {}
    for text in texts:
        name, _, directory = text.partition("=")
        if not _NAME.fullmatch(name) or not directory:
            message = f"--claim: found {text!r}, wanted the claim's name, = and a directory"
            raise UsageError(message, remedy=_REMEDY)
        if name in claims:
            raise UsageError(f"--claim: {name} is given twice", remedy="give each claim once")
        path = Path(directory).absolute()
        if path.exists() and not path.is_dir():
            message = f"--claim {name}: {path} is no directory"
            raise UsageError(message, remedy="give a directory, or one that is still to be made")
        claims[name] = path
    return claims


def prepare_claims(pods: Sequence[Pod], claims: Mapping[str, Path]) -> Iterator[str]:
    """Make what is missing of the claims' directories and yield what is doubtful about them.

    What is made here belongs to root (or to us, without root) with mode 0777, and to the group
    fsGroup with the set-group-ID bit if the pod has one. What is there stays as it is.

    Raises:
        ConfigurationError: a directory cannot be made, or a subPath leads out of it.
    """
    doubted = set()
    for pod in pods:
        owner = Ownership(pod.security.fs_group, privileged=os.geteuid() == 0)
        for mount, name in _claimed(pod):
            place = _prepare(claims[name], mount.sub_path, owner)
            doubtful = not mount.read_only and not _may_write(place, pod.security)
            if doubtful and place not in doubted:
                doubted.add(place)
                mode = stat.S_IMODE(place.stat().st_mode)
                yield (
                    f"claim {name}: {place} was there with mode {mode:04o} and stays so;"
                    f" pods that are not its owner may not write (chmod 0777 {place} lets them)"
                )


def _claimed(pod: Pod) -> Iterator[tuple[Mount, str]]:
    """Yield the pod's mounts of claims, each with the name of its claim."""
    names = dict(pod.claims)
    return ((mount, names[mount.volume]) for mount in pod.mounts if mount.volume in names)


def _prepare(directory: Path, sub_path: str, owner: Ownership) -> Path:
    """Make a claim's directory and the one below it that a mount names; return the latter."""
    place = directory / sub_path
    # A pod may have left a symbolic link there.
    if not place.resolve().is_relative_to(directory.resolve()):
        message = f"subPath {sub_path} leads out of {directory}, to {place.resolve()}"
        raise ConfigurationError(message, remedy="remove the symbolic link")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        for path in (*reversed(place.relative_to(directory).parents), Path(sub_path)):
            _make(directory / path, owner)
    except OSError as error:
        message = f"cannot make {place}: {error.strerror}"
        raise ConfigurationError(message, remedy="give another directory with --claim") from error
    return place


def _make(path: Path, owner: Ownership) -> None:
    if not path.is_dir():
        path.mkdir()
        owner.apply(path, _OPEN_MODE, read_only=False)


def _may_write(path: Path, security: Security) -> bool:
    """Tell whether a pod's user may surely make files in a directory.

    A user that only the image names counts as a stranger, in the group 0 that images for random
    UIDs have.
    """
    found = path.stat()
    ours = os.geteuid() != 0 and found.st_uid == os.geteuid()
    uid, gid = (0, 0) if ours else (found.st_uid, found.st_gid)  # we are root in our containers
    if security.user in (0, uid):
        return security.user == 0 or found.st_mode & _OWNER == _OWNER
    if gid in {security.group or 0, security.fs_group, *security.supplemental_groups}:
        return found.st_mode & _GROUP == _GROUP
    return found.st_mode & _OTHERS == _OTHERS
