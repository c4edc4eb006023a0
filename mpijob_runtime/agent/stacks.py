"""What a rank is doing right now: Python's stack by py-spy, else what the kernel tells.

Layer: effects (processes).
"""

from __future__ import annotations

import os
import sys

from mpijob_runtime import processes

_SECONDS = 5.0
_MOST_CHARACTERS = 20_000


def stacks_of(pid: int) -> dict[str, object]:
    """Return how it was found (``py-spy`` or ``kernel``) and the text, for a rank's program.

    py-spy may not read processes that are not its children where Yama's ptrace_scope is 1 and
    without CAP_SYS_PTRACE.
    """
    pids = (pid, *processes.descendants(pid))
    texts = [text for p in pids if _is_python(p) and (text := _by_py_spy(p))]
    if texts:
        return {"how": "py-spy", "text": "\n".join(texts)[:_MOST_CHARACTERS]}
    return {"how": "kernel", "text": "\n".join(_by_kernel(p) for p in pids)[:_MOST_CHARACTERS]}


def _is_python(pid: int) -> bool:
    try:
        return "python" in os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return False


def _by_py_spy(pid: int) -> str:
    import shutil  # only a stalled job pays for these
    import subprocess

    beside = f"{os.path.dirname(sys.executable)}:/opt/venv/bin:{os.environ.get('PATH', '')}"
    tool = shutil.which("py-spy", path=beside)
    if tool is None:
        return ""
    argv = (tool, "dump", "--nonblocking", "--pid", str(pid))
    try:
        answer = subprocess.run(  # noqa: S603 - a tuple, and a pid
            argv, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout if answer.returncode == 0 else ""


def _by_kernel(pid: int) -> str:
    """Return a process's name, state and the kernel function that it waits in."""
    fields = dict(
        line.split(":", 1)
        for line in processes.read_text(f"/proc/{pid}/status").splitlines()
        if ":" in line
    )
    name, state = fields.get("Name", "?").strip(), fields.get("State", "?").strip()
    waits = processes.read_text(f"/proc/{pid}/wchan").strip("0") or "nothing"
    return f"process {pid} ({name}): {state}, waiting in {waits}"
