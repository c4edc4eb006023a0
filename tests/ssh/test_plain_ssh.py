"""``ssh HOST`` as people type it: the images' own client configuration, against a real sshd.

The configuration is the images' file but for the path of its helper. Names, users and scp are in
tests/cluster/test_plain_ssh.py.
"""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

CONFIG = pathlib.Path(__file__).parents[2] / "images/rootfs/etc/ssh/ssh_config.d/mpijob.conf"
HELPER = "/usr/local/lib/mpijob/ssh-client"


class Client:
    """A container in which somebody calls ssh: the job's key is mounted, nothing has run yet."""

    def __init__(self, directory, keys, server):
        helper = directory / "ssh-client"
        helper.write_text(
            f"#!/bin/sh\nexec {sys.executable} -c"
            " 'from mpijob_runtime.ssh_client import main; main()' \"$@\"\n"
        )
        helper.chmod(0o755)
        self.config = directory / "ssh_config"
        self.config.write_text(CONFIG.read_text().replace(HELPER, str(helper)))
        secret = directory / "secret"
        secret.mkdir()
        shutil.copy(keys / "job", secret / "id_rsa")
        (secret / "id_rsa").chmod(0o644)  # as mpi-operator mounts it; OpenSSH refuses that
        hostfile = directory / "hostfile"
        hostfile.write_text(f"{server.address} slots=1\n")
        self.run_dir = directory / "run"
        self.environ = {
            **os.environ,
            "MPIJOB_HOSTFILE": str(hostfile),
            "MPIJOB_SSH_DIR": str(secret),
            "MPIJOB_RUN_DIR": str(self.run_dir),
            "MPIJOB_SSH_PORT": str(server.port),
        }

    def ssh(self, *words, **environ):
        """Run ssh and return how it ended."""
        return subprocess.run(
            ("ssh", "-F", self.config, *words),
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=120,
        )


@pytest.fixture
def make_client(tmp_path, keys):
    """Return a function that makes the client of a server's job."""

    def make(server):
        directory = tmp_path / "client"
        directory.mkdir(mode=0o700)
        return Client(directory, keys, server)

    return make


def test_a_host_of_the_job_is_reached_by_its_name_alone(server, make_client):
    """Port, key and authority are found by themselves, and only the copy of the key is private."""
    client = make_client(server)

    ended = client.ssh(server.address, "echo in")

    assert (ended.returncode, ended.stdout) == (0, "in\n"), ended.stderr
    assert os.stat(client.run_dir / "id").st_mode & 0o777 == 0o600
    assert os.stat(client.run_dir).st_mode & 0o777 == 0o700
    written = {entry.name: entry.inode() for entry in os.scandir(client.run_dir)}
    client.ssh(server.address, "true")
    assert written == {entry.name: entry.inode() for entry in os.scandir(client.run_dir)}


@pytest.mark.parametrize(
    "options",
    [
        ("-o", "StrictHostKeyChecking=no"),
        ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
        ("-o", "PasswordAuthentication=no"),
        ("-o", "ConnectTimeout=3", "-o", "BatchMode=yes"),
        ("-i", "/no/such/key"),
    ],
    ids=["unchecked", "unremembered", "DeepSpeed", "until", "own key"],
)
def test_what_people_add_does_no_harm(options, server, make_client):
    """The options of public manifests: each wins over the configuration, none is needed."""
    ended = make_client(server).ssh(*options, server.address, "echo in")

    assert (ended.returncode, ended.stdout) == (0, "in\n"), ended.stderr


def test_a_host_with_a_strangers_key_is_refused(make_server, make_client):
    """A pod of another job under this address; who says so himself gets in all the same."""
    server = make_server(authority="stranger")
    server.start()
    client = make_client(server)

    ended = client.ssh(server.address, "echo in")
    asked_for = client.ssh("-o", "StrictHostKeyChecking=no", server.address, "echo in")

    assert (ended.returncode, ended.stdout) == (255, "")
    assert "Host key verification failed" in ended.stderr
    assert asked_for.stdout == "in\n"


def test_another_pod_of_the_job_is_refused(make_server, make_client):
    """The name service still gives the address of a pod that has gone: one is not the other."""
    server = make_server(names=("w1", "w1.job"))
    server.start()

    ended = make_client(server).ssh(server.address, "echo in")

    assert (ended.returncode, ended.stdout) == (255, "")
    assert "name is not a listed principal" in ended.stderr


def test_a_server_without_a_certificate_is_refused(make_server, make_client):
    """An sshd that the job's key has not certified, even if it holds that key."""
    server = make_server()
    os.unlink(server.paths.host_certificate)
    server.start("-o", f"HostKey={server.paths.key}")

    ended = make_client(server).ssh(server.address, "echo in")

    assert (ended.returncode, ended.stdout) == (255, "")
    assert "Host key verification failed" in ended.stderr


def test_a_key_of_a_former_job_is_not_used(server, make_client, keys):
    """A run directory that outlives its pod is written anew."""
    client = make_client(server)
    client.run_dir.mkdir(mode=0o700)
    for name in ("id", "known_hosts"):
        shutil.copy(keys / "stranger", client.run_dir / name)
        (client.run_dir / name).chmod(0o600)

    assert client.ssh(server.address, "echo in").stdout == "in\n"


def test_ssh_to_all_other_hosts_is_as_ever(server, make_client):
    """Git over ssh: port 22, the user's own keys and known hosts, no file of ours."""
    client = make_client(server)

    ours = client.ssh("-G", server.address).stdout.splitlines()
    other = client.ssh("-G", "github.com").stdout.splitlines()

    assert "port 2222" in ours
    assert "identityfile ${MPIJOB_RUN_DIR}/id" in ours
    assert "port 22" in other
    assert "identityfile ~/.ssh/id_rsa" in other
    assert not [line for line in other if line.startswith(("knownhostscommand", "proxycommand"))]
    assert [line for line in other if line.startswith("stricthost")] == [
        "stricthostkeychecking ask"
    ]


def test_a_port_of_the_users_own_wins(server, make_client):
    """``-p`` is the user's word, also where MPIJOB_SSH_PORT says otherwise."""
    client = make_client(server)

    right = client.ssh("-p", str(server.port), server.address, "echo in", MPIJOB_SSH_PORT="")
    wrong = client.ssh("-p", "9", server.address, "true")

    assert right.stdout == "in\n"
    assert wrong.returncode == 255
    assert "Connection refused" in wrong.stderr


def test_a_key_that_is_not_there_is_said(server, make_client):
    """What ssh says then would not tell why."""
    ended = make_client(server).ssh(server.address, "true", MPIJOB_SSH_DIR="/no/such")

    assert ended.returncode == 255
    assert "mpijob: no ssh key" in ended.stderr
    assert "next: set spec.sshAuthMountPath" in ended.stderr
