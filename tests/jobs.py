"""Small MPIJob manifests for tests, and running them."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECONDS = 120


@dataclass(frozen=True)
class Job:
    """A job of a launcher and workers; only what tests vary is a field."""

    name: str
    image: str
    command: tuple[str, ...]
    workers: int = 2
    slots: int = 1
    ssh_path: str = "/home/mpiuser/.ssh"
    pod_security: Mapping[str, Any] = field(default_factory=dict)
    container_security: Mapping[str, Any] = field(default_factory=dict)
    volumes: tuple[tuple[str, str], ...] = ()
    claims: tuple[tuple[str, str], ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    worker_env: Mapping[str, str] = field(default_factory=dict)
    worker_annotations: Mapping[str, str] = field(default_factory=dict)
    worker_command: tuple[str, ...] = ()
    launcher_as_worker: bool = False
    clean_pod_policy: str = "All"
    probed_port: int | None = None

    def manifest(self) -> dict[str, Any]:
        """Return the manifest as a cluster takes it; JSON is YAML."""
        return {
            "apiVersion": "kubeflow.org/v2beta1",
            "kind": "MPIJob",
            "metadata": {"name": self.name},
            "spec": {
                "slotsPerWorker": self.slots,
                "sshAuthMountPath": self.ssh_path,
                "runLauncherAsWorker": self.launcher_as_worker,
                "runPolicy": {"backoffLimit": 0, "cleanPodPolicy": self.clean_pod_policy},
                "mpiReplicaSpecs": {
                    "Launcher": self._replica(1, "launcher", self.command),
                    "Worker": self._replica(self.workers, "worker", self.worker_command),
                },
            },
        }

    def _replica(self, replicas: int, name: str, command: tuple[str, ...]) -> dict[str, Any]:
        env = {**self.env, **(self.worker_env if name == "worker" else {})}
        annotations = self.worker_annotations if name == "worker" else {}
        container: dict[str, Any] = {
            "name": name,
            "image": self.image,
            "securityContext": dict(self.container_security),
            "env": [{"name": k, "value": v} for k, v in env.items()],
            "volumeMounts": [{"name": n, "mountPath": p} for n, p in (*self.volumes, *self.claims)],
        }
        if command:
            container["command"] = list(command)
        if self.probed_port and name == "worker":
            probe = {"tcpSocket": {"port": self.probed_port}, "periodSeconds": 1}
            container["readinessProbe"] = probe
        volumes = [
            *({"name": n, "emptyDir": {}} for n, _ in self.volumes),
            *({"name": n, "persistentVolumeClaim": {"claimName": n}} for n, _ in self.claims),
        ]
        return {
            "replicas": replicas,
            "restartPolicy": "Never",
            "template": {
                "metadata": {"annotations": dict(annotations)},
                "spec": {
                    "containers": [container],
                    "securityContext": dict(self.pod_security),
                    "volumes": volumes,
                },
            },
        }


@dataclass(frozen=True)
class Ended:
    """What a run of a job gave."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        """Everything that was printed."""
        return self.stdout + self.stderr


class RunningJob:
    """A job under ``mpijob-local run``, while it runs.

    Use it as a context: whatever is left is ended at the end.
    """

    def __init__(self, job: Job, directory: Path, *options: str) -> None:
        path = directory / f"{job.name}.yaml"
        path.write_text(json.dumps(job.manifest()), encoding="utf-8")
        self._log = directory / f"{job.name}.log"
        self._output = self._log.open("wb")
        argv = (sys.executable, "-m", "mpijob_local", "run", *options, str(path))
        self.process = subprocess.Popen(argv, stdout=self._output, stderr=subprocess.STDOUT)

    def __enter__(self) -> "RunningJob":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(SECONDS)
        self._output.close()

    @property
    def text(self) -> str:
        """Everything that has been printed so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, words: str) -> None:
        """Return once these words have been printed.

        Raises:
            AssertionError: if the job ends, or takes too long.
        """
        deadline = time.monotonic() + SECONDS
        while words not in self.text:
            ended = self.process.poll() is not None and words not in self.text
            assert not ended, self.text
            assert time.monotonic() < deadline, self.text
            time.sleep(0.05)

    def end(self) -> Ended:
        """Wait for the end and return it; both streams are in ``stdout``."""
        code = self.process.wait(SECONDS)
        return Ended(code, self.text, "")


def run_job(job: Job, directory: Path, *options: str, seconds: float = SECONDS) -> Ended:
    """Run a job by ``mpijob-local run`` and return how it ended."""
    path = directory / f"{job.name}.yaml"
    path.write_text(json.dumps(job.manifest()), encoding="utf-8")
    argv = (sys.executable, "-m", "mpijob_local", "run", *options, str(path))
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)
