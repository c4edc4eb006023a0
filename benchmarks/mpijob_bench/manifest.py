"""The MPIJob of an emulated run; examples/bench has the ones for a cluster. Pure."""

from typing import Any

CLAIM = "bench-results"
RESULTS = "/results"
_SSH = "/home/mpiuser/.ssh"


def emulated_job(name: str, *, image: str, nodes: int, command: tuple[str, ...]) -> dict[str, Any]:
    """Return a manifest with one worker for each node and the results' claim in the launcher.

    Args:
        name: of the job.
        image: with mpijob-bench.
        nodes: workers, with a slot each.
        command: of the launcher.
    """
    launcher = {
        "name": "launcher",
        "image": image,
        "command": list(command),
        "volumeMounts": [{"name": "results", "mountPath": RESULTS}],
    }
    worker = {
        "name": "worker",
        "image": image,
        "readinessProbe": {"tcpSocket": {"port": 2222}, "periodSeconds": 1},
    }
    volume = {"name": "results", "persistentVolumeClaim": {"claimName": CLAIM}}
    return {
        "apiVersion": "kubeflow.org/v2beta1",
        "kind": "MPIJob",
        "metadata": {"name": name},
        "spec": {
            "sshAuthMountPath": _SSH,
            "slotsPerWorker": 1,
            # a verdict other than PASS is an answer, not a failure to be tried again
            "runPolicy": {"cleanPodPolicy": "Running", "backoffLimit": 0},
            "mpiReplicaSpecs": {
                "Launcher": {"replicas": 1, "template": _pod([launcher], [volume])},
                "Worker": {"replicas": nodes, "template": _pod([worker], [])},
            },
        },
    }


def _pod(containers: list[dict[str, Any]], volumes: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "metadata": {"annotations": {"sidecar.istio.io/inject": "false"}},
        "spec": {"containers": containers, **({"volumes": volumes} if volumes else {})},
    }
