"""A real sshd on this machine's loopback network, with the options that workers give theirs."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest
from real_sshd import NO_SSHD, SSHD

from mpijob_runtime import carried, watch
from mpijob_runtime.environ import Paths
from mpijob_runtime.host_key import make_host_key, read_public_key
from mpijob_runtime.probes.ssh import probe_ssh, read_identity
from mpijob_runtime.ssh_files import sshd_options
from mpijob_runtime.watch import start_remote

USER = pwd.getpwuid(os.geteuid()).pw_name


def pytest_collection_modifyitems(items):
    """Skip what needs a server where none is installed."""
    if SSHD:
        return
    skip = pytest.mark.skip(reason=NO_SSHD)
    for item in items:
        if item.path.is_relative_to(os.path.dirname(__file__)):
            item.add_marker(skip)


class Server:
    """One sshd with its address, directory and process."""

    def __init__(self, directory, address, port):
        self.paths = Paths(str(directory))
        self.directory = directory
        self.address = address
        self.port = port
        self.process = None

    def start(self, *more, session=()):
        """Start listening; returns once the port answers."""
        options = sshd_options(
            self.paths,
            authorized_keys=f"{self.directory}/authorized_keys",
            port=self.port,
            session=(f"MPIJOB_RUN_DIR={self.directory}", *session),
        )
        listen = ("-o", f"ListenAddress={self.address}")
        self.log = self.directory / "sshd.log"
        argv = (SSHD, "-D", "-E", str(self.log), "-f", "/dev/null", *listen, *more, *options)
        self.process = subprocess.Popen(argv, start_new_session=True)
        deadline = time.monotonic() + 10
        while not self.answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def answers(self):
        """Tell whether the port takes connections."""
        with socket.socket() as probe:
            return probe.connect_ex((self.address, self.port)) == 0

    def stop(self):
        """End the listener and all of its sessions."""
        if self.process is not None:
            children = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
            with open(children, encoding="ascii") as file:
                sessions = file.read().split()
            self.process.kill()
            self.process.wait()
            for pid in sessions:
                subprocess.run(["pkill", "-KILL", "-P", pid], check=False)
                subprocess.run(["kill", "-KILL", pid], check=False, stderr=subprocess.DEVNULL)
            self.process = None


P_521 = ("-t", "ecdsa", "-b", "521")
KINDS = {
    "job": P_521,  # as the operators make it
    "stranger": P_521,
    "job-p256": ("-t", "ecdsa", "-b", "256"),
    "job-p384": ("-t", "ecdsa", "-b", "384"),
    "job-rsa": ("-t", "rsa", "-b", "2048"),
}


@pytest.fixture(scope="session")
def keys(tmp_path_factory):
    """Return a directory with the job's key, a stranger's, and other kinds of job keys."""
    directory = tmp_path_factory.mktemp("keys")
    for name, options in KINDS.items():
        argv = ["ssh-keygen", "-q", *options, "-N", "", "-f", directory / name]
        subprocess.run(argv, check=True)
    return directory


@pytest.fixture(scope="session")
def identity(keys):
    """Return the job's identity."""
    return read_identity(str(keys / "job"), user=USER)


@pytest.fixture
def make_server(tmp_path, keys):
    """Return a function that makes a server, not yet started; all are stopped at the end."""
    servers = []
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)

    def make(*, authority="job", admitted="job", names=None):
        """Make a server whose host key is certified for these names, or for its address."""
        number = len(servers) + 2
        directory = tmp_path / f"server{number}"
        directory.mkdir(mode=0o700)
        shutil.copy(keys / authority, directory / "id")
        shutil.copy(keys / f"{admitted}.pub", directory / "authorized_keys")
        address = f"127.0.0.{number}"
        kind = read_public_key(str(directory / "id")).split()[0]
        make_host_key(Paths(str(directory)), authority=kind, names=names or (address,))
        with socket.create_server((address, 0)) as free:
            port = free.getsockname()[1]
        servers.append(Server(directory, address, port))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def server(make_server):
    """Return a started server that admits the job."""
    made = make_server()
    made.start()
    return made


ATTEMPT = "1700000000-abcd-1"


@pytest.fixture
def agent_here(tmp_path, monkeypatch):
    """Let hosts have the agent of this tree, whatever the image has."""
    path = tmp_path / "agent"
    path.write_text(f"#!/bin/sh\nexec {sys.executable} -m mpijob_runtime.agent\n")
    path.chmod(0o755)
    monkeypatch.setattr(watch, "AGENT", str(path))


class Heard:
    """What an agent has told, as its watch passes it on."""

    def __init__(self):
        self.events = []
        self.output = []
        self.lost = []
        self._changed = threading.Condition()

    def on_event(self, host, event):
        """Take an event."""
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def on_output(self, rank, host, stream, data):
        """Take output."""
        with self._changed:
            self.output.append((rank, stream, data))
            self._changed.notify_all()

    def on_lost(self, host):
        """Take a loss."""
        with self._changed:
            self.lost.append(host)
            self._changed.notify_all()

    def wait_for(self, predicate):
        """Return once something holds."""
        with self._changed:
            assert self._changed.wait_for(lambda: predicate(self), timeout=10), self.events

    def named(self, name):
        """Return the events of one kind."""
        return [event for event in self.events if event["event"] == name]


@pytest.fixture
def join(server, identity, agent_here):
    """Return a function that starts an agent on the server; all are closed at the end."""
    opened = []

    def call(attempt=ATTEMPT, **hello):
        connection = probe_ssh(
            server.address, port=server.port, identity=identity, timeout_seconds=5.0
        )
        opened.append(connection)
        found = start_remote(connection, attempt)
        found.greet({"attempt": attempt, "grace_seconds": 2, **hello}, timeout_seconds=10)
        heard = Heard()
        found.follow(heard.on_event, heard.on_output, heard.on_lost)
        return found, heard

    yield call
    for connection in opened:
        connection.close()


@pytest.fixture
def start_rank(server):
    """Return a function that starts a rank on the server's host, as a daemon does."""
    started = []

    def start(rank, *argv, attempt=ATTEMPT):
        environ = {
            **os.environ,
            "MPIJOB_RUN_DIR": str(server.directory),
            carried.ATTEMPT: attempt,
            "OMPI_COMM_WORLD_RANK": str(rank),
            "OMPI_COMM_WORLD_SIZE": "2",
        }
        words = (sys.executable, "-m", "mpijob_runtime.rank", *argv)
        started.append(subprocess.Popen(words, env=environ))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
