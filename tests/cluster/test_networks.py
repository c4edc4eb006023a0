"""A job on two networks with shaped links, with the image mpijob-runtime:runtime-ompi4.1."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from engines import existing_image

from mpijob_local.machine import podman_for
from mpijob_local.podman import Engine
from mpijob_local.settings import LocalSettings

IMAGE = "mpijob-runtime:runtime-ompi4.1"
LOCAL = (sys.executable, "-m", "mpijob_local")
ANNOTATION = {"annotations": {"k8s.v1.cni.cncf.io/networks": "fast"}}
SLOW, FAST = 100e6, 500e6

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        not all(map(shutil.which, ("podman", "tc"))) or os.geteuid() != 0,
        reason="needs podman, tc and root",
    ),
]

# Takes one transfer and prints its bits per second, the link's first burst left out.
RECEIVE = """
import socket, sys, time
skipped = 1_000_000
connection, _ = socket.create_server(("", 7000)).accept()
received, started = 0, 0.0
while chunk := connection.recv(1 << 18):
    received += len(chunk)
    started = started or (time.perf_counter() if received >= skipped else 0.0)
    if started and not sys.argv[1:]:
        skipped, sys.argv = received, [*sys.argv, "counting"]
print(8 * (received - skipped) / (time.perf_counter() - started))
"""
SEND = """
import socket, sys, time
for _ in range(100):
    try:
        connection = socket.create_connection((sys.argv[1], 7000), timeout=60)
        break
    except OSError:
        time.sleep(0.1)
for _ in range(int(sys.argv[2])):
    connection.sendall(bytes(1_000_000))
"""
# Prints interfaces with their addresses (SIOCGIFADDR, netdevice(7)).
SHOW = """
import fcntl, socket, struct
with socket.socket() as probe:
    for _, name in socket.if_nameindex():
        request = struct.pack("256s", name.encode())
        address = socket.inet_ntoa(fcntl.ioctl(probe, 0x8915, request)[20:24])
        if name != "lo":
            print(f"{name}={address}")
"""


@dataclass
class Job:
    """A job on two networks whose pods only sleep.

    Attributes:
        addresses: of each pod (by its host name) in the order of the networks.
    """

    name: str
    engine: Engine
    process: "subprocess.Popen[bytes]"
    pods: dict[str, str]
    addresses: dict[str, list[str]]

    def run_in(self, host: str, *argv: str) -> str:
        """Run a program in a pod and return its output."""
        return self.engine.run("exec", self.pods[host], *argv, timeout_seconds=120).stdout

    def goodput(self, network: int, megabytes: int) -> float:
        """Send from worker 0 to worker 1 and return bits of payload per second."""
        first, second = (f"{self.name}-worker-{index}" for index in (0, 1))
        argv = ("podman", "exec", self.pods[second], "python3", "-c", RECEIVE)
        environ = self.engine.environ  # type: ignore[attr-defined]
        with subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, text=True) as receiver:
            self.run_in(
                first, "python3", "-c", SEND, self.addresses[second][network], str(megabytes)
            )
            return float(receiver.communicate(timeout=60)[0])

    def counters(self, host: str, interface: str) -> tuple[int, int]:
        """Return the bytes that went through the token bucket, and that the interface sent."""
        form = "--format={{.NetworkSettings.SandboxKey}}"
        namespace = self.engine.run("inspect", form, self.pods[host]).stdout.strip()
        inside = ("nsenter", f"--net={namespace}")
        tc = (*inside, "tc", "-statistics", "-json", "qdisc", "show", "dev", interface)
        ip = (*inside, "ip", "-statistics", "-json", "link", "show", "dev", interface)
        (qdisc,), (link,) = (json.loads(subprocess.check_output(argv)) for argv in (tc, ip))
        assert qdisc["kind"] == "tbf"
        return qdisc["bytes"], link["stats64"]["tx"]["bytes"]

    def remains(self) -> str:
        """Return the containers and networks that carry the job's label."""
        label = f"--filter=label=mpijob.local/job=default/{self.name}"
        containers = self.engine.run("ps", "--all", "--quiet", label).stdout
        return containers + self.engine.run("network", "ls", "--quiet", label).stdout

    def down(self) -> None:
        """Remove what is left of it."""
        subprocess.run((*LOCAL, "down", "--quiet", self.name), check=True)


def manifest(name: str, *launcher: str) -> dict[str, Any]:
    """Return a job of two workers; only they have Multus' annotation."""
    pod = {"containers": [{"name": "main", "image": IMAGE, "command": ["sleep", "600"]}]}
    launching = {"containers": [{**pod["containers"][0], "command": launcher or ["sleep", "600"]}]}
    return {
        "apiVersion": "kubeflow.org/v2beta1",
        "kind": "MPIJob",
        "metadata": {"name": name},
        "spec": {
            "sshAuthMountPath": "/home/mpiuser/.ssh",
            "runPolicy": {"backoffLimit": 0},
            "mpiReplicaSpecs": {
                "Launcher": {"template": {"spec": launching}},
                "Worker": {"replicas": 2, "template": {"metadata": ANNOTATION, "spec": pod}},
            },
        },
    }


def start(directory: Path, engine: Engine) -> Job:
    """Start a job and return it when its pods run."""
    name = f"n{secrets.token_hex(3)}"
    path = directory / f"{name}.yaml"
    path.write_text(json.dumps(manifest(name)), encoding="utf-8")
    said = path.with_suffix(".txt")
    with said.open("w", encoding="utf-8") as file:
        process = subprocess.Popen((*LOCAL, "run", str(path), "--networks", "2"), stderr=file)
    due = time.monotonic() + 120
    while True:
        rows = json.loads(subprocess.check_output((*LOCAL, "ps", "--json")))
        rows = [row for row in rows if row["job"] == f"default/{name}"]
        if [row["state"] for row in rows] == ["running"] * 3:
            break
        assert process.poll() is None, said.read_text(encoding="utf-8")
        assert time.monotonic() < due, "the pods never came"
        time.sleep(0.5)
    hosts = {
        row["pod"]: f"{name}-launcher" if row["role"] == "launcher" else row["pod"] for row in rows
    }
    pods = {hosts[row["pod"]]: row["container"] for row in rows}
    return Job(name, engine, process, pods, {hosts[row["pod"]]: row["addresses"] for row in rows})


@pytest.fixture(scope="module")
def engine() -> Engine:
    """Return podman as mpijob-local runs it."""
    podman, _ = podman_for(LocalSettings.from_environ(os.environ))
    existing_image(podman, IMAGE)
    return podman


@pytest.fixture(scope="module")
def job(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    """Return a running job."""
    running = start(tmp_path_factory.mktemp("networks"), engine)
    yield running
    running.down()
    running.process.wait(30)


def test_interfaces_of_pods(job):
    """Workers have eth0 and net1 with the addresses that ps shows; the launcher is as annotated."""
    found = {host: set(job.run_in(host, "python3", "-c", SHOW).split()) for host in job.pods}

    assert found == {
        host: {f"{name}={ip}" for name, ip in zip(("eth0", "net1"), addresses, strict=False)}
        for host, addresses in job.addresses.items()
    }
    assert sorted(map(len, found.values())) == [1, 2, 2]


def test_names_belong_to_the_pod_network(job):
    """A worker's name resolves to its address on eth0 alone, as a cluster's DNS has it."""
    host = f"{job.name}-worker-1"

    found = job.run_in(f"{job.name}-launcher", "getent", "ahostsv4", f"{host}.{job.name}")

    assert {line.split()[0] for line in found.splitlines()} == {job.addresses[host][0]}


def test_links_have_their_rates(job):
    """Workers reach each other on both networks, the one slow, the other fast.

    Loose above, as the machine may be busy; never more than the rate, whatever runs beside.
    """
    slow, fast = job.goodput(0, 12), job.goodput(1, 50)

    assert slow < SLOW
    assert fast < FAST
    assert fast > 2.5 * slow


def test_all_bytes_pass_the_token_bucket(job):
    """What a pod sends is counted by its token bucket, each frame of 1514 bytes for 1448 of load.

    The interface itself counts segments before the kernel cuts them into frames.
    """
    host = f"{job.name}-worker-0"
    before = job.counters(host, "net1")
    job.goodput(1, 20)
    after = job.counters(host, "net1")

    # Since the pod began only the kernel's own first words went past it.
    assert before[1] - before[0] < 5_000
    shaped, sent = (new - old for new, old in zip(after, before, strict=True))
    assert sent > 20e6
    assert shaped == pytest.approx(sent * 1514 / 1448, rel=0.01)


def test_a_pod_that_ends_at_once(engine, tmp_path):
    """A launcher that is gone before its links could be shaped ends with its own exit code."""
    path = tmp_path / "short.yaml"
    path.write_text(json.dumps(manifest(f"n{secrets.token_hex(3)}", "sh", "-c", "exit 42")))

    done = subprocess.run(
        (*LOCAL, "run", str(path), "--rate", "100mbit"), capture_output=True, text=True, check=False
    )

    assert done.returncode == 42, done.stderr


def test_nothing_is_left(job, engine, tmp_path):
    """A second job beside the first has subnets of its own; killed, ``down`` removes all of it."""
    second = start(tmp_path, engine)
    try:
        taken = {address.rpartition(".")[0] for them in job.addresses.values() for address in them}
        own = {address.rpartition(".")[0] for them in second.addresses.values() for address in them}
        assert len(taken) == len(own) == 2
        assert not taken & own
        second.process.send_signal(signal.SIGKILL)
        second.process.wait(30)
        assert len(second.remains().split()) == 5
    finally:
        second.down()
    assert second.remains() == ""
    assert len(job.remains().split()) == 5
