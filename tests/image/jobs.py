"""Small MPIJob manifests for tests, and running them."""

import json
import subprocess
import sys
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
    env: Mapping[str, str] = field(default_factory=dict)
    worker_command: tuple[str, ...] = ()
    launcher_as_worker: bool = False

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
                "runPolicy": {"backoffLimit": 0, "cleanPodPolicy": "All"},
                "mpiReplicaSpecs": {
                    "Launcher": self._replica(1, "launcher", self.command),
                    "Worker": self._replica(self.workers, "worker", self.worker_command),
                },
            },
        }

    def _replica(self, replicas: int, name: str, command: tuple[str, ...]) -> dict[str, Any]:
        container: dict[str, Any] = {
            "name": name,
            "image": self.image,
            "securityContext": dict(self.container_security),
            "env": [{"name": k, "value": v} for k, v in self.env.items()],
            "volumeMounts": [{"name": n, "mountPath": p} for n, p in self.volumes],
        }
        if command:
            container["command"] = list(command)
        volumes = [{"name": n, "emptyDir": {}} for n, _ in self.volumes]
        return {
            "replicas": replicas,
            "restartPolicy": "Never",
            "template": {
                "spec": {
                    "containers": [container],
                    "securityContext": dict(self.pod_security),
                    "volumes": volumes,
                }
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


def run_job(job: Job, directory: Path, *options: str) -> Ended:
    """Run a job by ``mpijob-local run`` and return how it ended."""
    path = directory / f"{job.name}.yaml"
    path.write_text(json.dumps(job.manifest()), encoding="utf-8")
    argv = (str(Path(sys.executable).parent / "mpijob-local"), "run", *options, str(path))
    done = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)
