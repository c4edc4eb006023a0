"""Whole jobs on podman containers, with the image mpijob-runtime:runtime-ompi4.1."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mpijob_local.machine import podman_for
from mpijob_local.podman import Engine
from mpijob_local.settings import LocalSettings

IMAGE = "mpijob-runtime:runtime-ompi4.1"
# Elsewhere than root's own path, where only root can read the key.
SSH_PATH = "/home/mpiuser/.ssh"
LOCAL = (sys.executable, "-m", "mpijob_local")

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(shutil.which("podman") is None, reason="needs podman"),
]


def _pod(command: str, **container: Any) -> dict[str, Any]:
    pod_fields = {"volumes": container.pop("volumes", [])}
    main = {"name": "main", "image": IMAGE, "command": ["bash", "-c", command], **container}
    return {"spec": {"containers": [main], **pod_fields}}


@dataclass
class Job:
    """A small job, its manifest and what belongs to it on this machine."""

    name: str
    path: Path
    engine: Engine
    environ: dict[str, str]

    def write(
        self,
        launcher: str,
        *,
        worker: str = "sleep 300",
        workers: int = 1,
        policy: str = "Never",
        spec: dict[str, Any] | None = None,
        **container: Any,
    ) -> "Job":
        """Write the manifest; further fields go into the launcher's container."""
        roles = {
            "Launcher": {"restartPolicy": policy, "template": _pod(launcher, **container)},
            "Worker": {"replicas": workers, "template": _pod(worker)},
        }
        fields = {"sshAuthMountPath": SSH_PATH, "runPolicy": {"backoffLimit": 0}, **(spec or {})}
        manifest = {
            "apiVersion": "kubeflow.org/v2beta1",
            "kind": "MPIJob",
            "metadata": {"name": self.name},
            "spec": {**fields, "mpiReplicaSpecs": roles},
        }
        self.path.write_text(json.dumps(manifest), encoding="utf-8")
        return self

    def start(self, *options: str) -> "subprocess.Popen[str]":
        """Start the run in the background."""
        return subprocess.Popen(
            (*LOCAL, "run", str(self.path), "--backoff-seconds", "0.1", *options),
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *options: str) -> "subprocess.CompletedProcess[str]":
        """Run to the end."""
        process = self.start(*options)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def local(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run another command of mpijob-local."""
        return subprocess.run(
            (*LOCAL, *arguments),
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def remains(self) -> list[str]:
        """Return the containers and networks that carry the job's label."""
        label = f"--filter=label=mpijob.local/job=default/{self.name}"
        containers = self.engine.run("ps", "--all", "--quiet", label).stdout.split()
        return containers + self.engine.run("network", "ls", "--quiet", label).stdout.split()

    def wait_for_pods(self, number: int) -> None:
        """Wait until that many pods run."""
        label = f"--filter=label=mpijob.local/job=default/{self.name}"
        due = time.monotonic() + 60
        while len(self.engine.run("ps", "--quiet", label).stdout.split()) < number:
            assert time.monotonic() < due, "the pods never came"
            time.sleep(0.1)


@pytest.fixture(scope="session")
def engine() -> Engine:
    """Podman as mpijob-local would run it; skips where the image is not built."""
    podman, _ = podman_for(LocalSettings.from_environ(os.environ))
    if podman.run("image", "exists", IMAGE, accept=()).exit_code:
        pytest.skip(f"needs {IMAGE}: mpijob-local build")
    return podman


@pytest.fixture
def make_job(engine: Engine, tmp_path: Path) -> Iterator[Callable[[], Job]]:
    """Return a function that makes jobs; what they leave is removed."""
    jobs: list[Job] = []
    environ = {**os.environ, "MPIJOB_LOCAL_HOME": str(tmp_path / "home")}

    def make() -> Job:
        name = f"t{secrets.token_hex(3)}"
        jobs.append(Job(name, tmp_path / f"{name}.yaml", engine, environ))
        return jobs[-1]

    yield make
    for job in jobs:
        if job.remains():
            job.local("down", job.name)


@pytest.fixture
def job(make_job: Callable[[], Job]) -> Job:
    """Return one job."""
    return make_job()


def test_exit_code_and_output(job):
    """The launcher's exit code is the run's, its streams are ours, and nothing is left."""
    done = job.write("echo out; echo err >&2; echo why > /dev/termination-log; exit 42").run()

    assert done.returncode == 42
    assert f"{job.name}-launcher | out" in done.stdout
    assert f"{job.name}-launcher | err" in done.stderr
    assert "termination log: why" in done.stderr
    assert "Failed (BackoffLimitExceeded), exit code 42, 1 attempt" in done.stderr
    assert job.remains() == []


def test_quiet_is_the_launchers_output_alone(job):
    """With -q the output is that of the launcher, whole and unchanged."""
    done = job.write("seq 20000; printf unfinished", worker="echo no; sleep 300", workers=2).run(
        "-q"
    )

    assert done.stdout.split() == [*map(str, range(1, 20001)), "unfinished"]
    assert done.returncode == 0
    assert done.stderr == ""


@pytest.mark.parametrize(("policy", "pods"), [("Never", 3), ("OnFailure", 1)])
def test_backoff_limit(job, policy, pods):
    """A failed launcher is tried again: in a new pod, or in the same one (OnFailure)."""
    limit = 2 if policy == "Never" else 3
    done = job.write(
        "echo $POD; exit 3",
        policy=policy,
        spec={"runPolicy": {"backoffLimit": limit}},
        env=[{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    ).run("-q")

    names = done.stdout.split()
    assert done.returncode == 3
    assert len(names) == 3
    assert len(set(names)) == pods


def test_restart_keeps_volumes_only(job):
    """A container that restarts finds its emptyDir again, but not its root file system."""
    done = job.write(
        "ls /tmp/mark /data/mark 2>/dev/null; touch /tmp/mark /data/mark; test -e /data/second"
        " || { touch /data/second; exit 1; }",
        policy="OnFailure",
        spec={"runPolicy": {"backoffLimit": 3}},
        volumes=[{"name": "data", "emptyDir": {}}],
        volumeMounts=[{"name": "data", "mountPath": "/data"}],
    ).run("-q")

    assert done.stdout.split() == ["/data/mark"]
    assert done.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("phase", ["network made", "pods run"])
def test_interrupt_leaves_nothing(job, number, phase):
    """Ctrl-C and SIGTERM remove everything within seconds, also when they come twice."""
    process = job.write("sleep 300", workers=2).start()
    if phase == "pods run":
        job.wait_for_pods(3)
    else:
        assert "network" in process.stderr.readline()
    process.send_signal(number)
    time.sleep(0.3)
    process.send_signal(number)
    started = time.monotonic()
    process.communicate(timeout=30)

    assert process.returncode == 128 + number
    assert time.monotonic() - started < 15
    assert job.remains() == []
    assert list((Path(job.environ["MPIJOB_LOCAL_HOME"]) / "jobs").iterdir()) == []


def test_memory_limit(job):
    """A launcher beyond its memory limit is killed for real."""
    done = job.write(
        'exec python3 -c "bytearray(10**9)"', resources={"limits": {"memory": "64Mi"}}
    ).run()

    assert done.returncode == 137
    assert "64Mi" in done.stderr


def test_read_only_root(job):
    """With readOnlyRootFilesystem only volumes can be written."""
    done = job.write(
        "touch /x; touch /tmp/x; touch /data/x && echo volume",
        securityContext={"readOnlyRootFilesystem": True},
        volumes=[{"name": "data", "emptyDir": {}}],
        volumeMounts=[{"name": "data", "mountPath": "/data"}],
    ).run()

    assert done.stderr.count("Read-only file system") == 2
    assert "volume" in done.stdout


def test_restricted_user(job):
    """An arbitrary UID without capabilities or a passwd entry gets just that."""
    done = job.write(
        "id -u; id -g; grep -c :12345: /etc/passwd; grep -E 'CapBnd|NoNewPrivs' /proc/self/status",
        securityContext={
            "runAsUser": 12345,
            "runAsGroup": 0,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    ).run("-q")

    assert done.stdout.split() == ["12345", "0", "0", "CapBnd:", "0" * 16, "NoNewPrivs:", "1"]


def test_names_resolve_as_on_a_cluster(job):
    """Every form of a pod's name that a cluster resolves is resolved, and no other.

    The launcher starts beside the workers, so it first waits until the last of them has a name.
    """
    name = job.name
    hosts = [
        f"{name}-worker-1.{name}",
        f"{name}-worker-1.{name}.default",
        f"{name}-worker-1.{name}.default.svc",
        f"{name}-worker-1.{name}.default.svc.cluster.local",
        f"{name}.default.svc",
        f"{name}-worker-1",
    ]
    script = (
        f"timeout 60 sh -c 'until getent hosts {hosts[0]}; do sleep 0.1; done' >/dev/null; "
        f"for n in {' '.join(hosts)}; do getent hosts $n >/dev/null && echo $n; done; hostname"
    )
    done = job.write(script, workers=2).run("-q")

    assert done.stdout.split() == [*hosts[:-1], f"{name}-launcher"]


def test_files_of_the_operator(job):
    """The launcher finds hostfile and key where the operator puts them."""
    done = job.write(
        f"cat /etc/mpi/hostfile; stat -Lc %a /etc/mpi/* {SSH_PATH}/*; test -d {SSH_PATH}/..data",
        spec={"sshAuthMountPath": SSH_PATH, "slotsPerWorker": 2},
        workers=2,
    ).run("-q")

    hosts = [f"{job.name}-worker-{i}.{job.name}.default.svc" for i in (0, 1)]
    assert done.stdout.splitlines()[:2] == [f"{host} slots=2" for host in hosts]
    assert done.stdout.split()[4:] == ["555", "444", "644", "644", "644"]
    assert done.returncode == 0


def test_wait_for_workers(job):
    """The launcher starts only when all workers are ready (WaitForWorkersReady)."""
    probe = {"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1}
    job.write(
        "echo started",
        worker="sleep 2; touch /tmp/ready; sleep 300",
        spec={"launcherCreationPolicy": "WaitForWorkersReady"},
    )
    manifest = json.loads(job.path.read_text())
    worker = manifest["spec"]["mpiReplicaSpecs"]["Worker"]["template"]["spec"]["containers"][0]
    worker["readinessProbe"] = probe
    job.path.write_text(json.dumps(manifest))

    done = job.run()

    assert done.returncode == 0
    assert done.stderr.index("workers ready 1/1") < done.stderr.index("launcher started")


def test_mpirun(job):
    """Mpirun reaches every worker over ssh."""
    job.write("mpirun -n 2 hostname", workers=2)
    manifest = json.loads(job.path.read_text())
    worker = manifest["spec"]["mpiReplicaSpecs"]["Worker"]["template"]["spec"]["containers"][0]
    del worker["command"]
    job.path.write_text(json.dumps(manifest))

    done = job.run("-q")

    assert sorted(done.stdout.split()) == [f"{job.name}-worker-{i}" for i in (0, 1)]


def test_jobs_beside_each_other(make_job):
    """Two jobs run at the same time; a second run of one of them is refused."""
    first, second = make_job().write("sleep 5; echo one"), make_job().write("sleep 5; echo two")
    processes = [first.start("-q"), second.start("-q")]
    first.wait_for_pods(2)

    refused = first.run()

    assert refused.returncode == 64
    assert f"mpijob-local down default/{first.name}" in refused.stderr
    assert [process.communicate(timeout=60)[0].strip() for process in processes] == ["one", "two"]


def test_keep_logs_and_down(job, engine):
    """What --keep leaves can be listed, read and removed; ``down`` removes nothing else."""
    stranger = f"stranger-{job.name}"
    engine.run("create", "--pull=never", f"--name={stranger}", IMAGE, "true")
    try:
        assert job.write("echo kept").run("--keep", "-q").returncode == 0

        pods = [
            pod
            for pod in json.loads(job.local("ps", "--json").stdout)
            if pod["job"] == f"default/{job.name}"
        ]
        assert {(pod["role"], pod["state"]) for pod in pods} == {
            ("launcher", "exited"),
            ("worker", "running"),
        }
        assert "kept" in job.local("logs", job.name).stdout
        assert job.local("down", job.name).returncode == 0
        assert job.remains() == []
        assert engine.run("container", "exists", stranger, accept=()).exit_code == 0
    finally:
        engine.run("rm", "--force", stranger)


def test_down_ends_a_running_job(job):
    """``down`` ends the run itself, which cleans up after itself."""
    process = job.write("sleep 300").start()
    job.wait_for_pods(2)

    assert job.local("down", job.name).returncode == 0

    process.communicate(timeout=30)
    assert process.returncode == 143
    assert job.remains() == []


def test_time_limits(job):
    """A launcher that takes too long fails the job."""
    done = job.write("sleep 300", spec={"runPolicy": {"activeDeadlineSeconds": 1}}).run()

    assert done.returncode == 137
    assert "DeadlineExceeded" in done.stderr


def test_program_that_does_not_exist(job):
    """A launcher whose program is missing ends the run with 127 and its name."""
    job.write("true")
    job.path.write_text(job.path.read_text().replace('"bash"', '"nonsense"', 1))

    done = job.run()

    assert done.returncode == 127
    assert "nonsense" in done.stderr
    assert job.remains() == []
