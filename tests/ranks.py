"""What tests of ranks and agents share: a rank's variables, and what a module drags in."""

import subprocess
import sys
from pathlib import Path

RANK_3 = {
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_SIZE": "8",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
    "OMPI_MPIJOB_MASTER_ADDR": "w0.job.svc",
    "OMPI_MPIJOB_MASTER_PORT": "29500",
    "OMPI_MPIJOB_ATTEMPT": "1-a",
}


def modules_with(name):
    """Return every module that a bare Python has loaded after it has imported one."""
    script = f"import sys; sys.path[:0] = ['.']; import sys; import {name}; print(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-IS", "-c", script],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(answer.stdout.split())
