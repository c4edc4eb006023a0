"""What distinguishes the operators that can lay a job out: one small class for each.

``MpiOperator`` follows mpi-operator v0.8.2 (pkg/controller/mpi_job_controller.go, named MC below).
``Trainer`` follows Kubeflow Trainer 8c0f505 (pkg/runtime/framework/plugins/mpi/mpi.go, named TP,
and plugins/jobset/jobset.go) with a runtime like the ones it brings
(manifests/base/runtimes/deepspeed_distributed.yaml, named RT).

Layer: pure; imports only the models and the records of pods.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

from mpijob_local.models import MPIJob, ReplicaSpec
from mpijob_local.pod import (
    CLUSTER_DOMAIN,
    DEFAULT_MODE,
    DISCOVER_HOSTS,
    HOSTFILE,
    Item,
    Role,
)

ROOT_SSH_PATH = "/root/.ssh"
CONFIG_MOUNT_PATH = "/etc/mpi"
_HOSTFILE_PATH = f"{CONFIG_MOUNT_PATH}/{HOSTFILE}"
_SSH_ARGUMENTS = "-o ConnectionAttempts=10"


class Operator(ABC):
    """An operator, as far as pods can tell it from another.

    Attributes:
        name: as the command line has it.
        secret_volume: the volume of the ssh keys.
        config_volume: the volume of the launcher's files.
        config_items: the launcher's files.
        implementations: values of ``mpiImplementation`` that it takes.
        reserved_env: variables that a manifest must not set.
        worker_failure_is_final: a worker that has failed for good ends the job.
    """

    name: ClassVar[str]
    secret_volume: ClassVar[str]
    config_volume: ClassVar[str]
    config_items: ClassVar[tuple[Item, ...]]
    implementations: ClassVar[frozenset[str]]
    reserved_env: ClassVar[frozenset[str]] = frozenset()
    worker_failure_is_final: ClassVar[bool] = False

    @property
    def reserved_volumes(self) -> tuple[str, ...]:
        """Names of volumes that it adds to the pods."""
        return (self.secret_volume, self.config_volume)

    @abstractmethod
    def launcher_name(self, job: str) -> str:
        """Return the launcher's host name; its pods' names begin with it."""

    @abstractmethod
    def worker_name(self, job: str, index: int) -> str:
        """Return a worker's name."""

    @abstractmethod
    def host_name(self, pod: str, job: str, namespace: str) -> str:
        """Return a pod's name as the hostfile has it."""

    @abstractmethod
    def environ(self, job: MPIJob, role: Role) -> dict[str, str]:
        """Return the variables that it appends to the user's."""

    @abstractmethod
    def key_modes(self, mount_path: str) -> tuple[int, int]:
        """Return the modes of the private key and of the public files."""

    @abstractmethod
    def worker_searches(self, job: str, namespace: str) -> tuple[str, ...]:
        """Return search domains that only workers get."""

    @abstractmethod
    def waits_for_workers(self, job: MPIJob) -> bool:
        """Tell whether the launcher is created only when all workers are ready."""

    @abstractmethod
    def restarts(self, replica: ReplicaSpec, role: Role) -> bool:
        """Tell whether a failed container is started again in its pod."""

    @abstractmethod
    def clean_pod_policy(self, job: MPIJob) -> str:
        """Return what happens to the workers when the launcher has ended."""

    def discover_hosts(self, hosts: Iterable[str]) -> str:
        """Return ``discover_hosts.sh`` for the running hosts, or nothing if there is none."""
        if all(item.key != DISCOVER_HOSTS for item in self.config_items):
            return ""
        return "#!/bin/sh\n" + "".join(f"echo {host}\n" for host in hosts)


class MpiOperator(Operator):
    """mpi-operator, which the manifests are written for."""

    name = "mpi-operator"
    secret_volume = "ssh-auth"  # noqa: S105 a volume's name
    config_volume = "mpi-job-config"
    config_items = (
        Item(HOSTFILE, HOSTFILE, 0o444),
        Item(DISCOVER_HOSTS, DISCOVER_HOSTS, 0o555),
    )
    implementations = frozenset({"OpenMPI", "Intel", "MPICH"})

    def launcher_name(self, job: str) -> str:
        """Return ``JOB-launcher``."""
        return f"{job}-launcher"

    def worker_name(self, job: str, index: int) -> str:
        """Return ``JOB-worker-N``."""
        return f"{job}-worker-{index}"

    def host_name(self, pod: str, job: str, namespace: str) -> str:
        """Return the name up to ``svc`` (MC 1338)."""
        return f"{pod}.{job}.{namespace}.svc"

    def environ(self, job: MPIJob, role: Role) -> dict[str, str]:
        """Return the role, the MPI's settings, and no GPU for a launcher (MC 169-230, 1610)."""
        variables = {"K_MPI_JOB_ROLE": role.value}
        if role is Role.LAUNCHER:
            variables |= _MPI_ENVIRON[job.spec.mpi_implementation](job)
            if not job.spec.run_launcher_as_worker:
                variables |= {"NVIDIA_VISIBLE_DEVICES": "", "NVIDIA_DRIVER_CAPABILITIES": ""}
        return variables

    def key_modes(self, mount_path: str) -> tuple[int, int]:
        """Return 0600 at root's own path, else Kubernetes' default (MC 1793-1816)."""
        mode = 0o600 if mount_path == ROOT_SSH_PATH else DEFAULT_MODE
        return mode, mode

    def worker_searches(self, job: str, namespace: str) -> tuple[str, ...]:
        """Return the job's own domain: bare names resolve (MC 1520)."""
        return (f"{job}.{namespace}.svc.{CLUSTER_DOMAIN}",)

    def waits_for_workers(self, job: MPIJob) -> bool:
        """Every value but AtStartup waits (MC 678)."""
        return job.spec.launcher_creation_policy != "AtStartup"

    def restarts(self, replica: ReplicaSpec, role: Role) -> bool:
        """Launchers restart unless told otherwise, workers only if told (constants.go 20-23)."""
        if role is Role.LAUNCHER:
            return replica.restart_policy != "Never"
        return replica.restart_policy == "OnFailure"

    def clean_pod_policy(self, job: MPIJob) -> str:
        """Return the manifest's."""
        return job.spec.run_policy.clean_pod_policy


class Trainer(Operator):
    """Kubeflow Trainer v2: a JobSet of the replicated jobs ``launcher`` and ``node``.

    The pods of the MPIJob are taken for those of a runtime: containers[0] for the container
    ``node``, Worker.replicas for the number of pods of the job ``node``, runLauncherAsWorker for
    runLauncherAsNode.
    """

    name = "trainer"
    secret_volume = "mpi-ssh-auth"  # noqa: S105 a volume's name
    config_volume = "mpi-hostfile"
    config_items = (Item(HOSTFILE, HOSTFILE, 0o444),)
    implementations = frozenset({"OpenMPI"})
    reserved_env = frozenset(
        {
            "OMPI_MCA_orte_default_hostfile",
            "OMPI_MCA_orte_keep_fqdn_hostnames",
            "OMPI_MCA_orte_set_default_slots",
            "OMPI_MCA_plm_rsh_args",
        }
    )
    worker_failure_is_final = True

    def launcher_name(self, job: str) -> str:
        """Return JobSet's name of the only pod of the job ``launcher``."""
        return f"{job}-launcher-0-0"

    def worker_name(self, job: str, index: int) -> str:
        """Return JobSet's host name of a pod of the job ``node``; its suffix is left out."""
        return f"{job}-node-0-{index}"

    def host_name(self, pod: str, job: str, namespace: str) -> str:  # noqa: ARG002 short names
        """Return ``POD.SUBDOMAIN`` (jobset.go 284-310)."""
        return f"{pod}.{job}"

    def environ(self, job: MPIJob, role: Role) -> dict[str, str]:
        """Return the launcher's settings for Open MPI; no role, and GPUs stay (TP)."""
        if role is Role.WORKER:
            return {}
        given = _open_mpi_environ(job)
        assert given.keys() == self.reserved_env  # noqa: S101 what is set is what is reserved
        return given

    def key_modes(self, mount_path: str) -> tuple[int, int]:  # noqa: ARG002 the same everywhere
        """Return 0640 and 0644 (pkg/constants/constants.go 150-157)."""
        return 0o640, 0o644

    def worker_searches(self, job: str, namespace: str) -> tuple[str, ...]:  # noqa: ARG002 none
        """Nothing is added: the namespace's own domain completes short names."""
        return ()

    def waits_for_workers(self, job: MPIJob) -> bool:  # noqa: ARG002 the runtime says it
        """``dependsOn`` the nodes being ready, as all runtimes since v2.3 have it (RT)."""
        return True

    def restarts(self, replica: ReplicaSpec, role: Role) -> bool:  # noqa: ARG002 all alike
        """JobSet's default is OnFailure."""
        return replica.restart_policy != "Never"

    def clean_pod_policy(self, job: MPIJob) -> str:  # noqa: ARG002 JobSet knows no policy
        """A JobSet that has succeeded or failed ends the jobs that still run."""
        return "Running"


def _open_mpi_environ(job: MPIJob) -> dict[str, str]:
    return {
        "OMPI_MCA_orte_keep_fqdn_hostnames": "true",
        "OMPI_MCA_orte_default_hostfile": _HOSTFILE_PATH,
        "OMPI_MCA_plm_rsh_args": _SSH_ARGUMENTS,
        "OMPI_MCA_orte_set_default_slots": str(job.spec.slots_per_worker),
    }


def _intel_environ(job: MPIJob) -> dict[str, str]:
    return {
        "I_MPI_HYDRA_HOST_FILE": _HOSTFILE_PATH,
        "I_MPI_HYDRA_BOOTSTRAP_EXEC_EXTRA_ARGS": _SSH_ARGUMENTS,
        "I_MPI_PERHOST": str(job.spec.slots_per_worker),
    }


def _mpich_environ(_job: MPIJob) -> dict[str, str]:
    return {"HYDRA_HOST_FILE": _HOSTFILE_PATH, "HYDRA_LAUNCH_EXTRA_ARGS": _SSH_ARGUMENTS}


_MPI_ENVIRON = {"OpenMPI": _open_mpi_environ, "Intel": _intel_environ, "MPICH": _mpich_environ}

MPI_OPERATOR = MpiOperator()
OPERATORS: dict[str, Operator] = {it.name: it for it in (MPI_OPERATOR, Trainer())}
"""By the name on the command line, the default first."""
