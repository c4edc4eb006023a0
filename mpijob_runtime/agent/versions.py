"""Which Python and torch a rank would find on its PATH, without starting either.

Layer: effects (file system).
"""

from __future__ import annotations

import os

_NAMES = ("torch", "horovod", "mpi4py", "numpy")


def versions_on_path(path: str) -> dict[str, str]:
    """Return versions of the first ``python3`` on PATH and of what is installed for it.

    Read from the names of files: starting a Python on every host would cost a tenth of a second.
    What the program puts on ``sys.path`` itself is not seen.
    """
    python = next((p for d in path.split(":") if os.access(p := f"{d}/python3", os.X_OK)), None)
    if python is None:
        return {}
    version = os.path.basename(os.path.realpath(python)).removeprefix("python")
    versions = {"python": version} if version.startswith("3.") else {}
    prefix = os.path.dirname(os.path.dirname(python))
    for folder in _package_folders(prefix, versions.get("python", "3")):
        for entry in _entries(folder):
            name, dash, version = entry.removesuffix(".dist-info").partition("-")
            if dash and entry.endswith(".dist-info") and name in _NAMES:
                versions.setdefault(name, version)
    return versions


def _package_folders(prefix: str, python: str) -> list[str]:
    library = f"{prefix}/lib/python{python}"
    return [f"{library}/site-packages", f"{library}/dist-packages"]


def _entries(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
