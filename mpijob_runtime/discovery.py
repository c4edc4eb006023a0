"""Which hosts can take ranks now: those the operator's script names whose sshd lets us in.

For elastic training. mpi-operator's ``discover_hosts.sh`` names every pod that runs, without
slots: a pod whose sshd has not started yet, or has ended, would be taken for a usable host.

Layer: effects; puts the other modules together.
"""

import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic

from mpijob_runtime.credentials import copy_key
from mpijob_runtime.environ import Paths
from mpijob_runtime.errors import HostfileError, Problem
from mpijob_runtime.host_formats import parse_discovered_hosts
from mpijob_runtime.hosts import Host
from mpijob_runtime.launch import read_hosts
from mpijob_runtime.plan import is_local
from mpijob_runtime.private_files import allow_descriptors, make_run_dir
from mpijob_runtime.probes.keys import find_job_key
from mpijob_runtime.probes.ssh import SshConnection, probe_ssh, read_identity
from mpijob_runtime.probes.system import probe_user
from mpijob_runtime.readiness import MOST_THREADS
from mpijob_runtime.refusal import HostRefusal
from mpijob_runtime.run_dir import choose_run_dir
from mpijob_runtime.settings import Settings
from mpijob_runtime.user_entry import check_user_entry

Connect = Callable[[str], SshConnection]


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was found.

    Attributes:
        live: hosts that took a login, and this container, in the order they were named.
        missing: name -> why the host took none.
        source: the script or hostfile that named them.
    """

    live: tuple[Host, ...]
    missing: Mapping[str, str]
    source: str


def discover_hosts(
    settings: Settings, *, script: str, hostname: str, timeout_seconds: float
) -> Discovery:
    """Ask the script for hosts and each host for a login, once.

    Without a script the hostfile names the hosts.

    Args:
        settings: what was asked.
        script: path of the operator's script.
        hostname: how this container calls itself; it needs no login.
        timeout_seconds: for the script, and once more for all logins together.

    Raises:
        HostfileError: if script or hostfile cannot be read, or name what is no host.
        ConfigurationError: if this container's key or user cannot work.
    """
    hosts, source = _named_hosts(settings, script, timeout_seconds)
    remote = [host.name for host in hosts if not is_local(host, hostname)]
    connect = _connect(settings, len(remote), timeout_seconds) if remote else None
    refusals = {} if connect is None else probe_once(remote, connect, timeout_seconds)
    live = tuple(host for host in hosts if refusals.get(host.name) is None)
    missing = {name: refusal for name, refusal in refusals.items() if refusal is not None}
    return Discovery(live, missing, source)


def probe_once(
    hosts: Sequence[str], connect: Connect, timeout_seconds: float
) -> dict[str, str | None]:
    """Try one login to each host, all at the same time.

    Args:
        hosts: names, each once.
        connect: logs in to one host; raises HostRefusal.
        timeout_seconds: for all together; who has not answered by then is not there.

    Returns:
        Why each host took no login, None for one that did.
    """
    found: dict[str, str | None] = dict.fromkeys(hosts, f"no answer in {timeout_seconds:g} s")
    answers: queue.SimpleQueue[tuple[str, str | BaseException | None]] = queue.SimpleQueue()
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for host in hosts:
        waiting.put(host)
    for _ in range(min(MOST_THREADS, len(hosts))):
        threading.Thread(target=_probe, args=(waiting, answers, connect), daemon=True).start()
    deadline = monotonic() + timeout_seconds
    for _ in hosts:
        try:
            host, answer = answers.get(timeout=max(0.0, deadline - monotonic()))
        except queue.Empty:
            break
        if isinstance(answer, BaseException):
            raise answer
        found[host] = answer
    return found


def _probe(
    waiting: "queue.SimpleQueue[str]",
    answers: "queue.SimpleQueue[tuple[str, str | BaseException | None]]",
    connect: Connect,
) -> None:
    """Log in to waiting hosts until there is none left."""
    while True:
        try:
            host = waiting.get_nowait()
        except queue.Empty:
            return
        try:
            connect(host).close()
        except HostRefusal as refusal:
            answers.put((host, str(refusal)))
        except BaseException as error:  # noqa: BLE001 - a thread must not swallow a bug
            answers.put((host, error))
        else:
            answers.put((host, None))


def run_script(path: str, timeout_seconds: float) -> bytes:
    """Run a script and return what it printed.

    Raises:
        HostfileError: if it cannot run, fails, or does not end in time.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 - the operator's own file, no arguments
            (path,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise _script_error(path, (error.strerror or str(error)).lower()) from error
    with process:
        try:
            output, _ = process.communicate(timeout=timeout_seconds)
        except subprocess.TimeoutExpired as error:
            os.killpg(process.pid, signal.SIGKILL)
            raise _script_error(path, f"no end within {timeout_seconds:g} s") from error
    if process.returncode:
        raise _script_error(path, f"exit code {process.returncode}")
    return output


def _script_error(path: str, found: str) -> HostfileError:
    problem = Problem(0, found, "a program that prints a host on each line and ends with 0")
    return HostfileError(path, [problem], remedy=f"run {path} by hand, or give --script")


def _named_hosts(
    settings: Settings, script: str, timeout_seconds: float
) -> tuple[tuple[Host, ...], str]:
    """Return the hosts that the operator names now, and which file does."""
    if not os.path.exists(script):
        found = read_hosts(settings)
        return found.hosts, found.source
    data = run_script(script, timeout_seconds)
    hosts = parse_discovered_hosts(
        data,
        path=script,
        slots={host.name: host.slots for host in _of_the_hostfile(settings)},
        default_slots=settings.operator.default_slots,
    )
    return hosts, script


def _of_the_hostfile(settings: Settings) -> Iterable[Host]:
    """Return the hostfile's hosts, for their slots; none if there is no such file."""
    if settings.host is None and not os.path.exists(settings.hostfile or ""):
        return ()
    return read_hosts(settings).hosts


def _connect(settings: Settings, hosts: int, timeout_seconds: float) -> Connect:
    """Return what logs in to one host with the job's key."""
    user = probe_user()
    check_user_entry(user)
    paths = Paths(choose_run_dir(settings.run_dir))
    make_run_dir(paths.run_dir)
    allow_descriptors(hosts)
    key = copy_key(find_job_key(settings, user), user, paths)
    identity = read_identity(key, user=user.name or "")
    return partial(
        probe_ssh, port=settings.ssh_port, identity=identity, timeout_seconds=timeout_seconds
    )
