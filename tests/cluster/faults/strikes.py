"""What is done to a job: one short function for each means.

Each returns a strike: a function of the running job and of the aim.
"""

import signal
import time
from collections.abc import Callable

from faults.live import LiveJob, TrialError, signal_process
from faults.model import Aim, Strike
from faults.processes import DAEMONS, MPIRUNS, Process


def nothing(job: LiveJob, aim: Aim) -> None:
    """Do nothing: the fault lies in the job's layout."""


def kill_worker(job: LiveJob, aim: Aim) -> None:
    """Kill everything in a worker's pod."""
    job.podman.run("kill", "--signal=KILL", job.workers[aim.index].container)


def signal_launcher(number: signal.Signals) -> Strike:
    """Signal the launcher's first process."""

    def strike(job: LiveJob, aim: Aim) -> None:
        job.podman.run("kill", f"--signal={number.name}", job.launcher.container)

    return strike


def rank_does(statement: str) -> Strike:
    """Let the rank do something to itself."""
    return lambda job, aim: job.tell_rank(aim.index, statement)


def signal_rank(number: signal.Signals) -> Strike:
    """Signal the rank's program."""
    return lambda job, aim: signal_process(job.rank_process(aim.index), number)


def signal_daemon(number: signal.Signals) -> Strike:
    """Signal Open MPI's daemon on a worker."""
    return lambda job, aim: signal_process(_daemon(job, aim), number)


def kill_mpirun(job: LiveJob, aim: Aim) -> None:
    """Kill Open MPI's mpirun in the launcher."""
    found = [p for p in job.launcher.processes() if p.program in MPIRUNS]
    signal_process(_first(found, "mpirun"), signal.SIGKILL)


def kill_sshd(job: LiveJob, aim: Aim) -> None:
    """Kill the sshd that listens on a worker."""

    def listens() -> list[Process]:
        pod = job.workers[aim.index]
        below = [p for p in pod.processes() if p.program == "sshd" and p.parent == pod.pid]
        return [p for p in below if "-V" not in p.words]  # a worker asks for the version first

    signal_process(_first(_within(listens, seconds=5), "a listening sshd"), signal.SIGKILL)


def sshd_killed_first(job: LiveJob, aim: Aim) -> None:
    """Let a worker begin, and kill its sshd before anybody logs in."""
    job.workers[aim.index].begin()
    kill_sshd(job, aim)


def kill_ssh_sessions(job: LiveJob, aim: Aim) -> None:
    """Kill every ssh session on a worker; its sshd goes on to listen."""
    pod = job.workers[aim.index]
    servers = [p for p in pod.processes() if p.program == "sshd"]
    sessions = [p for p in servers if pod.pid not in (p.pid, p.parent)]
    _first(sessions, "an ssh session")
    for process in sessions:
        signal_process(process, signal.SIGKILL)


def hold_worker(job: LiveJob, aim: Aim) -> None:
    """Let a worker never begin."""
    job.held.add(job.workers[aim.index].name)


def workers_late(job: LiveJob, aim: Aim) -> Callable[[], None]:
    """Let every worker begin at a random time."""
    times = sorted((aim.random.uniform(0, 6), pod.name) for pod in job.workers)
    job.held.update(pod.name for pod in job.workers)
    pods = {pod.name: pod for pod in job.workers}

    def begin() -> None:
        began = time.monotonic()
        for due, name in times:
            time.sleep(max(0.0, began + due - time.monotonic()))
            pods[name].begin()

    return begin


def change_hostfile(job: LiveJob, aim: Aim) -> None:
    """Leave only one host in the hostfile, as the kubelet shows a changed configMap."""
    volume = job.launcher.directory / "mpi-job-config" / "..data"
    first = (volume / "hostfile").read_text(encoding="utf-8").splitlines()[0]
    (volume / "hostfile").write_text(f"{first}\n", encoding="utf-8")


def _daemon(job: LiveJob, aim: Aim) -> Process:
    """Return the daemon; 5.0's has a parent of the same name, which only waits."""
    found = [p for p in job.workers[aim.index].processes() if p.program in DAEMONS]
    parents = {process.parent for process in found}
    return _first([process for process in found if process.pid not in parents], "the daemon")


def _within(look: Callable[[], list[Process]], *, seconds: float) -> list[Process]:
    deadline = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def _first(found: list[Process], what: str) -> Process:
    if not found:
        message = f"{what} is not there"
        raise TrialError(message)
    return found[0]
