"""Names shared by the launcher, the worker and the wrapper around each rank.

Open MPI forwards ``OMPI_…`` variables to every rank, so what ranks must be told has that prefix.

Layer: bottom, pure; imports nothing, because every rank pays for it.
"""

ATTEMPT = "OMPI_MPIJOB_ATTEMPT"
"""Id of this start of the job."""

MASTER_ADDR = "OMPI_MPIJOB_MASTER_ADDR"
MASTER_PORT = "OMPI_MPIJOB_MASTER_PORT"

ENV_PREFIX = "OMPI_MPIJOB_ENV_"
"""``OMPI_MPIJOB_ENV_NAME`` becomes ``NAME`` in the rank."""

RUN_DIR = "MPIJOB_RUN_DIR"
"""Where private files lie; the worker's sshd tells its sessions."""

INSIDE = "MPIJOB_INSIDE"
"""Set for everything that we start, so that a shim inside a job is the plain program."""

WORKER_PID = "worker.pid"
"""File in the run directory with the pid of the worker's supervisor."""


def records_file(run_dir: str, attempt: str) -> str:
    """Return the file into which a host's ranks write their starts and ends."""
    return f"{run_dir}/attempts/{attempt}"
