"""Which libnccl a program would load, and the version of a file.

``torch.cuda.nccl.version()`` is that of torch's headers when it was built with a shared library of
its own; LD_PRELOAD or another nvidia-nccl package changes what is loaded. So the file itself is
asked, in a child process.

What a program that runs has loaded is in nccl_maps.py.

Layer: probe; imports facts.
"""

import json
import subprocess
from collections.abc import Mapping

from mpijob_runtime.facts import NcclFacts
from mpijob_runtime.probes import nccl_child

_OLD_STYLE_BELOW = 10_000
_CHILD_SECONDS = 60.0
_NOT_THERE = "libnccl.so.2: cannot open shared object file"


def decode_version(code: int) -> str:
    """Return ``2.29.7`` for 22907: to 2.8 1000 X + 100 Y + Z, later 10000 X + 100 Y + Z.

    Source: NCCL_VERSION in nccl.h.
    """
    major, rest = divmod(code, 1000 if code < _OLD_STYLE_BELOW else 10_000)
    return f"{major}.{rest // 100}.{rest % 100}"


def probe_nccl(
    environ: Mapping[str, str],
    *,
    python: str,
    path: str | None = None,
    timeout_seconds: float = _CHILD_SECONDS,
) -> NcclFacts | None:
    """Ask a libnccl for its version.

    Args:
        environ: the program's environment: LD_PRELOAD, LD_LIBRARY_PATH and PYTHONPATH decide.
        python: the program's Python.
        path: a file, as ``loaded_libraries`` tells it; None for the one that torch would load.
        timeout_seconds: how long loading may take.

    Returns:
        The facts, or None if there is no libnccl. One that cannot be loaded is a problem in them.
    """
    preloaded = None if path else _preloaded(environ)
    named = path or preloaded
    argv = (python, nccl_child.__file__, *((named,) if named else ()))
    try:
        done = subprocess.run(  # noqa: S603 - our own file
            argv,
            env=dict(environ),
            capture_output=True,
            timeout=timeout_seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        answer = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        problem = f"loading it took more than {timeout_seconds:g} s"
        return NcclFacts(named or "libnccl.so.2", None, "", problem)
    except OSError as error:
        return NcclFacts(named or "libnccl.so.2", None, "", f"{python}: {error.strerror}")
    except ValueError:
        return NcclFacts(named or "libnccl.so.2", None, "", "it ends the process that loads it")
    found_by = "LD_PRELOAD" if preloaded else answer["found_by"]
    code, problem = answer.get("code"), answer.get("problem")
    if (problem or "").startswith(_NOT_THERE):
        return None
    version = decode_version(code) if code else None
    return NcclFacts(answer["path"], version, found_by, problem)


def _preloaded(environ: Mapping[str, str]) -> str | None:
    words = environ.get("LD_PRELOAD", "").replace(":", " ").split()
    return next((word for word in words if "libnccl.so" in word), None)
