"""The environment that a worker's container was started with.

Layer: effects (processes); imports carried; quick to import: every rank pays for it.
"""

from __future__ import annotations

import os

from mpijob_runtime import carried


def read_container_environ(run_dir: str) -> dict[str, str]:
    """Return the environment that the worker's supervisor was started with, or nothing.

    An sshd session knows nothing of its container's variables, and sshd_config's SetEnv cannot
    carry a newline; the kernel shows them to the same user without a copy on any disk.
    """
    try:
        with open(f"{run_dir}/{carried.WORKER_PID}", encoding="ascii") as file:
            pid = int(file.read())
        with open(f"/proc/{pid}/environ", "rb") as file:
            pairs = file.read().split(b"\0")
    except (OSError, ValueError):
        return {}
    decoded = (os.fsdecode(pair).partition("=") for pair in pairs if b"=" in pair)
    return {name: value for name, _, value in decoded}
