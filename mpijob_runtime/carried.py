"""Names shared by the launcher, the hosts' agents and the wrapper around each rank.

Open MPI forwards ``OMPI_…`` variables to every rank, so what ranks must be told has that prefix.

Layer: bottom, pure; imports nothing, because every rank pays for it.
"""

ATTEMPT = "OMPI_MPIJOB_ATTEMPT"
"""Id of this start of the job; everything that it starts has it in its environment."""

MASTER_ADDR = "OMPI_MPIJOB_MASTER_ADDR"
MASTER_PORT = "OMPI_MPIJOB_MASTER_PORT"

ENV_PREFIX = "OMPI_MPIJOB_ENV_"
"""``OMPI_MPIJOB_ENV_NAME`` becomes ``NAME`` in the rank."""

GAP_PREFIX = "OMPI_MPIJOB_GAP_"
"""``OMPI_MPIJOB_GAP_NAME`` becomes ``NAME`` in a rank that has no ``NAME``."""

STREAMS = "OMPI_MPIJOB_STREAMS"
"""``mpirun`` leaves the ranks' output to mpirun; anything else gives it to the host's agent."""

STDIN = "OMPI_MPIJOB_STDIN"
NO_STDIN = "null"
"""Tells a rank that the launcher has no stdin, or by which mark it knows the end of that."""

PROGRESS_FILE = "MPIJOB_PROGRESS_FILE"
"""Tells a rank where it may write its step number; read only for ``--stall-timeout``."""

PREEMPTION_FILE = "MPIJOB_PREEMPTION_FILE"
"""Tells a rank which file exists once the job is to end: for programs that poll."""

HOSTS, NODE_RANK, GPU = "MPIJOB_HOSTS", "MPIJOB_NODE_RANK", "MPIJOB_GPU"
"""Tell a rank all hosts in the order of their ranks, its host's place among them, and its GPU."""

CPUS = "MPIJOB_CPUS"
"""Tells a wrapper to which processors its rank is bound, with commas between."""

RUN_DIR = "MPIJOB_RUN_DIR"
"""Where private files lie; the worker's sshd tells its sessions."""

OPEN_MPI = "/usr/lib/mpijob/openmpi"
"""Prefix of the images' Open MPI: its programs stand in ``bin``, where nobody meets them by
accident, because all of their usual names and places are shims."""

INSIDE = "MPIJOB_INSIDE"
"""Set for everything that we start, so that a shim inside a job is the plain program."""

WORKER_PID = "worker.pid"
"""File in the run directory with the pid of the worker's supervisor."""

HOST_CERTIFICATE = "ecdsa-sha2-nistp256-cert-v01@openssh.com"
"""What a worker's sshd shows; a launcher asks for nothing else."""

ENDING = "ending"
"""File in the run directory of a worker that is about to end: it takes part in nothing new."""

WRAPPER_NAME = "mpijob-rank"
AGENT_NAME = "mpijob-agent"
"""How ps shows our own processes on a host; 15 letters at most."""

GO, HOLD, RELEASE = b"go", b"hold", b"release"
"""What an agent tells a rank's wrapper."""


BY_SSH = b"ssh"
"""The launcher's word to our remote shell: it has no connection to that host."""


def agent_socket(attempt: str) -> str:
    """Return the name, in the run directory, of the socket on which a host's agent listens."""
    return f"agent-{attempt}"


def progress_file(run_dir: str, attempt: str, rank: str) -> str:
    """Return the file into which a rank may write the number of its step."""
    return f"{run_dir}/step-{attempt}-{rank}"


def preemption_file(run_dir: str, attempt: str) -> str:
    """Return the file that exists on a host once the job is to end."""
    return f"{run_dir}/preempted-{attempt}"


def rsh_socket(attempt: str) -> str:
    """Return the name of the socket on which the launcher starts daemons for mpirun."""
    return f"rsh-{attempt}"
