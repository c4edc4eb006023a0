"""Runs inside the test image: times readiness against real sshd on loopback addresses.

The servers have certified host keys, as workers have. The waiting runs in a process of its own, so
that its time and memory are the launcher's alone.

Prints one JSON object a line: {"hosts", "wall", …} for each wait, {"seen"} for a late host, {"key"}
for each host key that was made and certified.
"""

import argparse
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import psutil

from mpijob_runtime.environ import Paths
from mpijob_runtime.host_key import make_host_key
from mpijob_runtime.private_files import allow_descriptors
from mpijob_runtime.probes.ssh import SshConnection, check_shell, probe_ssh, read_identity
from mpijob_runtime.probes.system import probe_user
from mpijob_runtime.readiness import wait_for_hosts
from mpijob_runtime.ssh_files import sshd_options
from mpijob_runtime.worker import find_sshd

PORT = 22222
ADDRESSES_EACH = 16
"""An sshd listens on no more addresses (MAX_LISTEN_SOCKS)."""

STEP_SECONDS = 10.0
IDLE_SECONDS = 2.0
LATE_SECONDS = 1.0
FIRST_LATE = 5000
"""Numbers of the hosts of which one is late: others than those that are measured before."""


def main() -> None:
    """Measure as often as asked, all sizes in turn."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--hosts", type=int, nargs="+", required=True)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--late-rounds", type=int, default=0)
    parser.add_argument("--wait", metavar="DIRECTORY", help="be the launcher")
    arguments = parser.parse_args()
    if arguments.wait:
        wait(arguments.wait, arguments.hosts[0])
        return
    with tempfile.TemporaryDirectory(prefix="logins-") as directory:
        make_key(directory)
        with servers(directory, range(max(arguments.hosts))) as running:
            for _ in range(arguments.rounds):
                for hosts in arguments.hosts:
                    emit(measure(directory, hosts, running))
        for _ in range(arguments.late_rounds):
            emit(late(directory))


def emit(measured: Mapping[str, float]) -> None:
    """Print one measurement."""
    print(json.dumps(measured), flush=True)


def address_of(number: int) -> str:
    """Return the address of a host."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


def make_key(directory: str) -> None:
    """Make the job's key, as the operators do."""
    kind = ("-t", "ecdsa", "-b", "521", "-N", "")
    subprocess.run(("ssh-keygen", "-q", *kind, "-f", Paths(directory).key), check=True)


def start_server(directory: str, numbers: Sequence[int]) -> psutil.Popen:
    """Start one sshd for some hosts, with a host key that is certified for them."""
    own = f"{directory}/server{numbers[0]}"
    os.mkdir(own, mode=0o700)
    os.link(Paths(directory).key, Paths(own).key)
    addresses = [address_of(number) for number in numbers]
    began = time.perf_counter()
    make_host_key(Paths(own), authority="ecdsa-sha2-nistp521", names=addresses)
    emit({"key": time.perf_counter() - began})
    options = sshd_options(
        Paths(own),
        authorized_keys=f"{Paths(directory).key}.pub",
        port=PORT,
        session=(f"MPIJOB_RUN_DIR={own}",),
    )
    listen = [word for address in addresses for word in ("-o", f"ListenAddress={address}")]
    argv = (find_sshd(), "-D", "-f", "/dev/null", *listen, *options)
    server = psutil.Popen(argv, stdin=subprocess.DEVNULL)
    while not answers(addresses[-1]):
        time.sleep(0.002)
    return server


def answers(address: str) -> bool:
    """Tell whether a server listens."""
    with socket.socket() as probe:
        return probe.connect_ex((address, PORT)) == 0


@contextmanager
def servers(directory: str, numbers: Sequence[int]) -> Iterator[Sequence[psutil.Popen]]:
    """Run the servers of some hosts, and end them."""
    shares = [numbers[i : i + ADDRESSES_EACH] for i in range(0, len(numbers), ADDRESSES_EACH)]
    running = [start_server(directory, share) for share in shares]
    try:
        yield running
    finally:
        for server in running:
            server.kill()
            server.wait()


def measure(directory: str, hosts: int, running: Sequence[psutil.Popen]) -> Mapping[str, float]:
    """Wait once for this many hosts and return what it took."""
    before = server_seconds(running)
    argv = (sys.executable, __file__, "--wait", directory, "--hosts", str(hosts))
    answer = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True)
    while any(server.children() for server in running):  # until all sessions are accounted for
        time.sleep(0.1)
    took = json.loads(answer.stdout)
    took["server"] = server_seconds(running) - before
    took["others"] = max(0.0, took.pop("busy") - took["launcher"] - took["server"])
    return took


def server_seconds(running: Sequence[psutil.Popen]) -> float:
    """Return the processor time of the servers and their sessions that have ended."""
    return sum(sum(server.cpu_times()[:4]) for server in running)


def own_seconds() -> float:
    """Return the processor time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def busy_seconds() -> float:
    """Return the processor time of everything on this machine."""
    times = psutil.cpu_times()
    return times.user + times.nice + times.system + times.irq + times.softirq


def connector(directory: str) -> Callable[[str], SshConnection]:
    """Return the launcher's probe of one host: a login with every check, and one command."""
    identity = read_identity(Paths(directory).key, user=probe_user().name or "")

    def connect(host: str) -> SshConnection:
        connection = probe_ssh(host, port=PORT, identity=identity, timeout_seconds=STEP_SECONDS)
        check_shell(connection, timeout_seconds=STEP_SECONDS)
        return connection

    return connect


def wait(directory: str, hosts: int) -> None:
    """Be the launcher: wait for the hosts, stay connected for a while, say what it took."""
    allow_descriptors(hosts)
    connect = connector(directory)
    names = [address_of(number) for number in range(hosts)]
    used, busy, began = own_seconds(), busy_seconds(), time.monotonic()
    connections = wait_for_hosts(names, connect, timeout_seconds=300.0)
    took = {"hosts": hosts, "wall": time.monotonic() - began, "launcher": own_seconds() - used}
    took["busy"] = busy_seconds() - busy
    took["threads"] = threading.active_count()
    used = own_seconds()
    time.sleep(IDLE_SECONDS)
    took["idle"] = (own_seconds() - used) / IDLE_SECONDS
    took["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert len(connections) == hosts
    emit(took)
    os._exit(0)


def late(directory: str) -> Mapping[str, float]:
    """Wait for eight hosts, of which the last comes late; return how long it took from then on."""
    own = f"{directory}/late"
    os.mkdir(own)
    make_key(own)
    numbers = range(FIRST_LATE, FIRST_LATE + 8)
    running = [start_server(own, numbers[:-1])]
    came: list[float] = []

    def start_last() -> None:
        running.append(start_server(own, numbers[-1:]))
        came.append(time.monotonic())

    timer = threading.Timer(LATE_SECONDS, start_last)
    timer.start()
    names = [address_of(number) for number in numbers]
    connections = wait_for_hosts(names, connector(own), timeout_seconds=60.0)
    ended = time.monotonic()
    timer.join()
    for connection in connections.values():
        connection.close()
    for server in running:
        server.kill()
        server.wait()
    shutil.rmtree(own)
    return {"seen": ended - came[0]}


if __name__ == "__main__":
    main()
