"""What the benchmarks of this directory share: a job on shaped networks, and its samples."""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Sample = Mapping[str, Any]


def run_job(
    name: str,
    *,
    image: str,
    workers: int,
    rates: Sequence[str],
    command: Sequence[str],
    environ: Mapping[str, str] | None = None,
) -> list[Sample]:
    """Run a job on one network for each rate and return what its launcher printed as JSON.

    Samples are shown as they come. A job that fails ends this program.
    """
    variables = [{"name": key, "value": value} for key, value in (environ or {}).items()]
    manifest = _manifest(name, image, workers, command, variables)
    options = [f"--networks={len(rates)}", *(f"--rate={rate}" for rate in rates)]
    samples = []
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        json.dump(manifest, file)
        file.flush()
        argv = (sys.executable, "-m", "mpijob_local", "run", *options, file.name)
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                # After the pod's name and, where a rank has printed it, the rank's.
                _, brace, text = line.partition("{")
                if brace:
                    sys.stderr.write(brace + text)
                    samples.append(json.loads(brace + text))
    if process.returncode:
        sys.exit(f"the job ended with {process.returncode}")
    return samples


def _manifest(
    name: str,
    image: str,
    workers: int,
    command: Sequence[str],
    environ: Sequence[Mapping[str, str]],
) -> dict[str, Any]:
    """Return the job; JSON is YAML."""
    launcher = {"name": "launcher", "image": image, "command": list(command), "env": list(environ)}
    worker = {"name": "worker", "image": image}
    return {
        "apiVersion": "kubeflow.org/v2beta1",
        "kind": "MPIJob",
        "metadata": {"name": name},
        "spec": {
            "sshAuthMountPath": "/home/mpiuser/.ssh",
            "runPolicy": {"backoffLimit": 0},
            "mpiReplicaSpecs": {
                "Launcher": {"replicas": 1, "template": {"spec": {"containers": [launcher]}}},
                "Worker": {"replicas": workers, "template": {"spec": {"containers": [worker]}}},
            },
        },
    }


def read_program(name: str) -> str:
    """Return the text of a program beside this one, which runs in the pods."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def spread(values: Sequence[float], digits: int) -> str:
    """Return the median and the quartiles."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
