"""Loads a libnccl and asks for its version: never done in a process that must go on.

Run as a file, by any Python from 3.6 on: no imports of ours, no newer syntax. Prints a line of
JSON: the file that was loaded, how it was found, its version's code; or a problem.

Layer: probe; imports nothing of ours.
"""

import ctypes
import importlib.util
import json
import os
import sys

_NAME = "libnccl.so.2"


def main() -> None:
    """Print the line for the library that is named, or for the one that torch would load."""
    here = os.path.dirname(os.path.abspath(__file__))  # its modules are none of the program's
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != here]
    path, found_by = (sys.argv[1], "") if len(sys.argv) > 1 else _find()
    answer = {"path": path, "found_by": found_by}  # type: dict[str, object]
    try:
        code = ctypes.c_int()
        result = ctypes.CDLL(path).ncclGetVersion(ctypes.byref(code))
        answer.update(path=_mapped() or path, code=code.value if result == 0 else None)
    except (OSError, AttributeError) as error:
        answer["problem"] = str(error)
    sys.stdout.write(json.dumps(answer))


def _find() -> "tuple[str, str]":
    """Return what torch finds first: by its own path (DT_RPATH), then as the linker searches."""
    try:
        spec = importlib.util.find_spec("nvidia.nccl")
    except (ImportError, ValueError):
        spec = None
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = os.path.join(folder, "lib", _NAME)
        if os.path.exists(path):
            return path, "Python package"
    return _NAME, "dynamic linker"


def _mapped() -> str:
    with open("/proc/self/maps", errors="backslashreplace") as file:
        paths = [line.rstrip("\n").partition("/") for line in file if "libnccl.so" in line]
    return next((slash + path for _, slash, path in paths if slash), "")


if __name__ == "__main__":
    main()
