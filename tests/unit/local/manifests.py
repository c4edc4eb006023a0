"""Manifests as data, for the tests beside this file."""

from copy import deepcopy
from typing import Any

from mpijob_local.models import MPIJob

SSH_PATH = "spec.sshAuthMountPath"
LAUNCHER = "spec.mpiReplicaSpecs.Launcher"
WORKER = "spec.mpiReplicaSpecs.Worker"
LAUNCHER_POD = f"{LAUNCHER}.template.spec"
WORKER_POD = f"{WORKER}.template.spec"

_PI: dict[str, Any] = {
    "apiVersion": "kubeflow.org/v2beta1",
    "kind": "MPIJob",
    "metadata": {"name": "pi"},
    "spec": {
        "mpiReplicaSpecs": {
            "Launcher": {
                "template": {
                    "spec": {"containers": [{"name": "main", "image": "pi", "command": ["mpirun"]}]}
                }
            },
            "Worker": {
                "replicas": 2,
                "template": {"spec": {"containers": [{"name": "main", "image": "pi"}]}},
            },
        }
    },
}


def manifest(**changes: Any) -> dict[str, Any]:
    """Return a small valid manifest with fields set by their path (dots as ``__``)."""
    data = deepcopy(_PI)
    for path, value in changes.items():
        put(data, path.replace("__", "."), value)
    return data


def put(data: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Set one field of a manifest; ``containers`` means the first container."""
    *way, last = path.replace("containers.", "containers.0.").split(".")
    at: Any = data
    for part in way:
        at = at[int(part)] if part.isdigit() else at.setdefault(part, {})
    at[last] = value
    return data


def job(*changes: tuple[str, Any]) -> MPIJob:
    """Return a valid job with fields set by their path."""
    data = manifest()
    for path, value in changes:
        put(data, path, value)
    return MPIJob.model_validate(data)
