"""Who a launcher takes for a worker, asked of a real sshd by paramiko and by ssh(1) alike."""

import os
import shutil
import socket
import subprocess
import threading

import paramiko
import pytest

from mpijob_runtime.carried import HOST_CERTIFICATE
from mpijob_runtime.environ import Paths
from mpijob_runtime.probes.ssh import HostRefusal, probe_ssh, read_identity
from mpijob_runtime.ssh_files import format_known_hosts, format_ssh_config


class Launcher:
    """A launcher's private directory, and its two ways of logging in."""

    def __init__(self, directory, key, *, user, port):
        self.paths = Paths(str(directory))
        self.port = port
        self.identity = read_identity(str(key), user=user)
        shutil.copy(key, self.paths.key)
        (directory / "known_hosts").write_text(format_known_hosts(self.identity.public_key))
        (directory / "ssh_config").write_text(format_ssh_config(self.paths, port=port))

    def refusal(self, host):
        """Return why the probe does not accept a host, or None if it does."""
        try:
            probe_ssh(host, port=self.port, identity=self.identity, timeout_seconds=5).close()
        except HostRefusal as refusal:
            return refusal
        return None

    def ssh(self, host, *options, command="echo in"):
        """Run a command by the ssh that mpirun starts; options of the caller win."""
        argv = ["ssh", *options, "-F", self.paths.ssh_config, host, command]
        return subprocess.run(
            argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=30
        )


@pytest.fixture
def make_launcher(keys, identity, tmp_path):
    """Return a function that makes the launcher of a server's job."""

    def make(server, key="job"):
        directory = tmp_path / "launcher"
        directory.mkdir(mode=0o700)
        return Launcher(directory, keys / key, user=identity.user, port=server.port)

    return make


@pytest.mark.parametrize("kind", ["job", "job-p384", "job-p256", "job-rsa"])
def test_a_worker_certified_by_the_jobs_key_is_let_in(kind, make_server, make_launcher):
    """Every kind of job key certifies a P-256 host key, and both clients accept it."""
    server = make_server(authority=kind, admitted=kind)
    server.start()
    launcher = make_launcher(server, kind)
    assert launcher.refusal(server.address) is None
    assert launcher.ssh(server.address).stdout == "in\n"


def test_names_are_compared_without_regard_to_case(make_server, make_launcher):
    """DNS knows no case, and ssh(1) lowers what it is given."""
    server = make_server(names=("localhost",))
    server.start("-o", "ListenAddress=127.0.0.1")
    launcher = make_launcher(server)
    assert launcher.refusal("LocalHost") is None
    assert launcher.ssh("LocalHost").stdout == "in\n"


def test_an_impostor_with_an_authority_of_its_own_is_refused(make_server, make_launcher):
    """The same for a pod of another job, or of this job's former life: each has its own key."""
    server = make_server(authority="stranger")
    server.start()
    launcher = make_launcher(server)
    found = launcher.refusal(server.address)
    assert (found.step, found.lasting) == ("host key", True)
    assert "certified by another job's key" in found.reason
    answer = launcher.ssh(server.address)
    assert (answer.returncode, answer.stdout) == (255, "")
    assert "Host key verification failed" in answer.stderr


@pytest.mark.parametrize("names", [("w1", "w1.job", "w1.job.ns"), ("127.*", "*")])
def test_a_right_key_under_a_wrong_name_is_refused(names, make_server, make_launcher):
    """One worker is not taken for another; a pattern is a name like others, also for ssh(1)."""
    server = make_server(names=names)
    server.start()
    launcher = make_launcher(server)
    found = launcher.refusal(server.address)
    assert (found.step, found.lasting) == ("host key", True)
    assert f"certified as {', '.join(names)}, not {server.address}" in found.reason
    answer = launcher.ssh(server.address)
    assert (answer.returncode, answer.stdout) == (255, "")
    assert "name is not a listed principal" in answer.stderr


def test_a_server_without_a_certificate_is_refused(make_server, make_launcher):
    """An sshd that the job's key has not certified, even if it holds that key."""
    server = make_server()
    os.unlink(server.paths.host_certificate)
    server.start("-o", f"HostKey={server.paths.key}")
    launcher = make_launcher(server)
    found = launcher.refusal(server.address)
    assert (found.step, found.lasting) == ("host key", True)
    assert "shows no certificate of this job" in found.reason
    answer = launcher.ssh(server.address)
    assert (answer.returncode, answer.stdout) == (255, "")


def test_a_server_with_more_host_keys_shows_the_certified_one(make_server, make_launcher, tmp_path):
    """A user's sshd_config with host keys of its own does not make the worker a stranger."""
    server = make_server()
    other = tmp_path / "other"
    argv = ["ssh-keygen", "-q", "-t", "ecdsa", "-b", "256", "-N", "", "-f", other]
    subprocess.run(argv, check=True)
    server.start("-o", f"HostKey={other}")
    launcher = make_launcher(server)
    assert launcher.refusal(server.address) is None
    assert launcher.ssh(server.address).stdout == "in\n"


class Thief(paramiko.ECDSAKey):
    """A key of one's own, shown under a worker's certificate, or without any."""

    shown = b""

    def get_name(self):
        """Claim to be the certificate's kind."""
        return HOST_CERTIFICATE

    def asbytes(self):
        """Show what was stolen."""
        return self.shown


@pytest.fixture
def show():
    """Return a function that serves one login with a given host key; it gives the port."""
    threads = []

    def start(shown):
        listener = socket.create_server(("127.0.0.9", 0))
        listener.settimeout(10)

        def serve():
            with listener, paramiko.Transport(listener.accept()[0]) as transport:
                own = paramiko.ECDSAKey.generate(bits=256)
                thief = Thief(vals=(own.signing_key, own.verifying_key))
                thief.shown = shown
                transport.add_server_key(thief)
                done = threading.Event()
                transport.start_server(event=done)
                transport.join(10)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return listener.getsockname()[1]

    yield start
    for thread in threads:
        thread.join(10)


def test_a_stolen_certificate_is_worth_nothing_without_its_key(show, make_server, make_launcher):
    """Certificates are public: whoever shows one must prove to hold its key."""
    server = make_server(names=("127.0.0.9",))
    with open(server.paths.host_certificate, encoding="ascii") as file:
        stolen = paramiko.pkey.PublicBlob.from_string(file.read()).key_blob
    launcher = make_launcher(server)
    launcher.port = show(stolen)
    found = launcher.refusal("127.0.0.9")
    assert (found.step, found.lasting) == ("host key", True)
    assert "does not hold the key" in found.reason


def test_a_plain_key_in_place_of_a_certificate_is_refused(show, make_server, make_launcher):
    """A server may promise a certificate and show something else."""
    launcher = make_launcher(make_server())
    launcher.port = show(paramiko.ECDSAKey.generate(bits=256).asbytes())
    assert launcher.refusal("127.0.0.9").step == "host key"


def test_nonsense_in_place_of_a_certificate_is_refused(show, make_server, make_launcher):
    """What a stranger sends is never a bug of ours."""
    launcher = make_launcher(make_server())
    launcher.port = show(b"\0\0\0\x08nonsense\xff\xff")
    assert launcher.refusal("127.0.0.9").step == "banner"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-W", "127.0.0.1:{port}"), "stdio forwarding failed"),
        (("-o", "ExitOnForwardFailure=yes", "-R", "127.0.0.1:0:127.0.0.1:{port}"), "forwarding"),
        (("-o", "PreferredAuthentications=password,keyboard-interactive"), "Permission denied"),
    ],
    ids=["to a port", "from a port", "by password"],
)
def test_sshd_gives_commands_by_key_and_nothing_else(options, words, make_server, make_launcher):
    """A worker is no way into the cluster's network, and no password opens it."""
    server = make_server()
    server.start()
    launcher = make_launcher(server)
    options = [option.format(port=server.port) for option in options]
    answer = launcher.ssh(server.address, *options)
    assert answer.returncode == 255
    assert words in answer.stderr
    assert "in\n" not in answer.stdout


def test_an_agent_is_not_forwarded(make_server, make_launcher):
    """Keys of the caller stay with the caller."""
    server = make_server()
    server.start()
    launcher = make_launcher(server)
    answer = launcher.ssh(server.address, "-A", command='echo "agent:$SSH_AUTH_SOCK"')
    assert answer.stdout == "agent:\n"


def test_a_client_that_knows_no_authority_can_still_come(make_server, keys):
    """Tools of users log in as they always did, checking what they always checked."""
    server = make_server()
    server.start()
    plain = ["ssh", "-F", "/dev/null", "-i", str(keys / "job"), "-p", str(server.port)]
    unchecked = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    answer = subprocess.run(
        [*plain, *unchecked, server.address, "echo in"], capture_output=True, text=True, check=False
    )
    assert answer.stdout == "in\n"
