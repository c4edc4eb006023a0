"""A fault's job as a manifest.

Every pod has a volume at /faults, through which the trial speaks to it: the program lies there,
and a pod does nothing before its file ``go`` is there.

Layer: pure; imports model and jobs.
"""

import shlex
from dataclasses import dataclass, field
from typing import Any

from jobs import Job

from faults.model import GRACE_SECONDS, STALL_SECONDS, TIMEOUT_SECONDS, Fault, Shape

VOLUME = "faults"
PLACE = f"/{VOLUME}"
REPORT = "report.json"
SSH_CONFIG = "ssh_config"

OURS = {
    "MPIJOB_REPORT": f"{PLACE}/{REPORT}",
    "MPIJOB_TIMEOUT": str(TIMEOUT_SECONDS),
    "MPIJOB_GRACE": str(GRACE_SECONDS),
    "MPIJOB_STALL_TIMEOUT": str(STALL_SECONDS),
}

BARE = {
    "MPIJOB_SHIM": "off",
    "OMPI_MCA_plm_rsh_agent": f"ssh -F {PLACE}/{SSH_CONFIG}",
    "PRTE_MCA_plm_ssh_agent": f"ssh -F {PLACE}/{SSH_CONFIG}",
    "PRTE_MCA_prte_default_hostfile": "/etc/mpi/hostfile",
}

SSH_CONFIG_TEXT = """\
# As in mpi-operator's base image (build/base/Dockerfile of v0.8.2), with the path of the key.
Host *
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  Port 2222
  IdentityFile /home/mpiuser/.ssh/id_rsa
"""


@dataclass(frozen=True)
class FaultJob(Job):
    """A job that is laid out as a fault needs it.

    Attributes:
        shape: how.
        bare: run the real mpirun, with none of our supervision in the launcher.
    """

    shape: Shape = field(default_factory=Shape)
    bare: bool = False

    def manifest(self) -> dict[str, Any]:
        """Return the manifest; launcher and workers differ in more than their commands."""
        manifest = super().manifest()
        policy = manifest["spec"]["runPolicy"]
        roles = manifest["spec"]["mpiReplicaSpecs"]
        launcher, worker = roles["Launcher"], roles["Worker"]
        # With OnFailure batch/v1's limit is the number of runs.
        policy["backoffLimit"] = self.shape.attempts
        launcher["restartPolicy"] = "OnFailure" if self.shape.attempts > 1 else "Never"
        worker["restartPolicy"] = "OnFailure" if self.shape.restarts else "Never"
        if self.shape.attempts == 1:
            policy["backoffLimit"] = 0
        own = {**(BARE if self.bare else OURS), **self.shape.env}
        _container(launcher)["env"] += [{"name": k, "value": v} for k, v in own.items()]
        if self.shape.memory:
            _container(worker)["resources"] = {"limits": {"memory": self.shape.memory}}
        if self.shape.small_tmp:
            for role in (launcher, worker):
                _add_tmp(role)
        return manifest


def make_job(fault: Fault, *, name: str, image: str, bare: bool) -> FaultJob:
    """Return the job in which a fault happens."""
    shape = fault.shape
    ranks, seconds, mpi = str(shape.workers), f"{shape.seconds:g}", str(int(shape.mpi))
    return FaultJob(
        name=name,
        image=image,
        command=_gated("mpirun", "-n", ranks, f"{PLACE}/program", seconds, mpi),
        worker_command=_gated("/usr/sbin/sshd", "-De"),
        workers=shape.workers,
        volumes=((VOLUME, PLACE),),
        container_security={"readOnlyRootFilesystem": True} if shape.read_only else {},
        clean_pod_policy="None",
        shape=shape,
        bare=bare,
    )


def _gated(*argv: str) -> tuple[str, ...]:
    """Return a command that waits for its pod's file ``go`` and then becomes the program."""
    script = f"until [ -e {PLACE}/go ]; do sleep 0.05; done; exec {shlex.join(argv)}"
    return ("/bin/sh", "-c", script)


def _container(role: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = role["template"]["spec"]["containers"][0]
    return container


def _add_tmp(role: dict[str, Any]) -> None:
    small = {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}
    role["template"]["spec"]["volumes"].append(small)
    _container(role)["volumeMounts"].append({"name": "tmp", "mountPath": "/tmp"})
