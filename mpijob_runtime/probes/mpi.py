"""Which MPI is here: the first mpirun on PATH that is not our own shim, else the image's.

Layer: probe; imports carried and facts.
"""

import os
import re
import subprocess
from collections.abc import Iterator

from mpijob_runtime.carried import OPEN_MPI
from mpijob_runtime.facts import MpiFacts

SHIM_MARK = b"mpijob-runtime shim"
"""Every shim has these words in its first bytes, so that a search can step over it."""

_MARK_WITHIN_BYTES = 512
_VERSION = re.compile(r"^mpirun \((?P<name>[^)]+)\)\s+(?P<version>\d+(?:\.\d+)*)", re.MULTILINE)
_HYDRA = re.compile(r"Version:\s+(?P<version>\d+(?:\.\d+)*)")
_PROBE_SECONDS = 30


def find_real_program(name: str, path: str) -> str | None:
    """Return the first executable of that name that is not a shim of ours, or None.

    PATH comes first, for those who bring their own MPI; then where the images have theirs.
    """
    return next(_candidates(name, f"{path}{os.pathsep}{OPEN_MPI}/bin"), None)


def probe_mpi(*, path: str, mpirun: str | None = None) -> MpiFacts | None:
    """Ask mpirun for its name and version.

    Args:
        path: the search path.
        mpirun: the mpirun to ask; None to search. A shim stands for what is behind it.

    Returns:
        The facts, or None if there is no mpirun or it does not answer in an expected way.
    """
    named = mpirun if mpirun and not _is_shim(mpirun) else None
    found = named or find_real_program("mpirun", path)
    if found is None:
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - an absolute path and a constant
            (found, "--version"),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROBE_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(answer.stdout, mpirun=found)


def parse_version(text: str, *, mpirun: str) -> MpiFacts | None:
    """Return what ``mpirun --version`` says, or None if it says nothing known."""
    match = _VERSION.search(text)
    if match:
        name = "Open MPI" if match["name"] in ("Open MPI", "OpenRTE") else match["name"]
        return MpiFacts(name, match["version"], mpirun)
    match = _HYDRA.search(text)
    return MpiFacts("Hydra", match["version"], mpirun) if match else None


def _candidates(name: str, path: str) -> Iterator[str]:
    for place in path.split(os.pathsep):
        candidate = os.path.join(place or ".", name)
        executable = os.path.isfile(candidate) and os.access(candidate, os.X_OK)
        if executable and not _is_shim(candidate):
            yield os.path.abspath(candidate)


def _is_shim(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return SHIM_MARK in file.read(_MARK_WITHIN_BYTES)
    except OSError:
        return False
