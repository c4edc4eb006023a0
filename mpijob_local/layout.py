"""What mpi-operator creates for an MPIJob: hostfile, variables, volumes and pods.

Follows pkg/controller/mpi_job_controller.go of mpi-operator v0.8.2, named MC below.

Layer: pure; imports only the models.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from mpijob_local.models import Container, EmptyDir, EnvVar, MPIJob, PodSpec, ReplicaSpec

ROOT_SSH_PATH = "/root/.ssh"
CONFIG_MOUNT_PATH = "/etc/mpi"
HOSTFILE = "hostfile"
DISCOVER_HOSTS = "discover_hosts.sh"
PRIVATE_KEY = "ssh-privatekey"
PUBLIC_KEY = "ssh-publickey"
_CLUSTER_DOMAIN = "cluster.local"
# Kubernetes' default for files of secrets and configMaps
_DEFAULT_MODE = 0o644


class Role(StrEnum):
    """The part that a pod plays."""

    LAUNCHER = "launcher"
    WORKER = "worker"


class Source(StrEnum):
    """The object whose keys a projected volume shows."""

    SECRET = "ssh-auth"  # noqa: S105 a volume's name
    CONFIG = "mpi-job-config"


@dataclass(frozen=True, slots=True)
class Item:
    """One key of an object as one file of a volume."""

    key: str
    path: str
    mode: int = _DEFAULT_MODE


@dataclass(frozen=True, slots=True)
class Projection:
    """A read-only volume that shows keys of a secret or configMap as files."""

    source: Source
    items: tuple[Item, ...]

    @property
    def name(self) -> str:
        """The volume's name in the pod."""
        return self.source.value


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume's place in the container."""

    volume: str
    path: str
    sub_path: str = ""
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Security:
    """The security context of a container, the pod's and its own merged."""

    user: int | None = None
    group: int | None = None
    non_root: bool = False
    fs_group: int | None = None
    supplemental_groups: tuple[int, ...] = ()
    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    privilege_escalation: bool = True
    read_only_root: bool = False


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod as the API server would hold it.

    Attributes:
        env: the user's variables, then the operator's; references not yet expanded.
        searches: search domains of its resolver.
        restarts: restart in place after a failure (restartPolicy OnFailure).
    """

    name: str
    hostname: str
    subdomain: str
    namespace: str
    role: Role
    container: Container
    command: tuple[str, ...]
    env: tuple[EnvVar, ...]
    projections: tuple[Projection, ...]
    empty_dirs: tuple[tuple[str, EmptyDir], ...]
    mounts: tuple[Mount, ...]
    security: Security
    searches: tuple[str, ...]
    restarts: bool
    grace_seconds: int

    @property
    def host(self) -> str:
        """The name in the hostfile."""
        return f"{self.hostname}.{self.subdomain}.{self.namespace}.svc"

    @property
    def names(self) -> tuple[str, ...]:
        """Every name the cluster's DNS has for this pod, the job's service included."""
        service = f"{self.subdomain}.{self.namespace}.svc"
        short = (self.host, service)
        return (*short, *(f"{name}.{_CLUSTER_DOMAIN}" for name in short))


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything the operator makes of one MPIJob.

    Attributes:
        launcher: the launcher's pod; each attempt gets a name of its own from ``attempt``.
        workers: the worker pods in order of their index.
        ranks: the sum of all slots.
        waits_for_workers: the launcher starts only when all workers are ready.
    """

    job: str
    namespace: str
    hostfile: str
    launcher: Pod
    workers: tuple[Pod, ...]
    ranks: int
    waits_for_workers: bool
    launcher_is_worker: bool

    @property
    def pods(self) -> tuple[Pod, ...]:
        """All pods in the order in which the operator creates them."""
        return (*self.workers, self.launcher)

    def attempt(self, suffix: str) -> Pod:
        """Return the launcher's pod under the name that batch/v1 Job gives an attempt."""
        return replace(self.launcher, name=f"{self.launcher.hostname}-{suffix}")

    def discover_hosts(self, running: Iterable[Pod]) -> str:
        """Return ``discover_hosts.sh`` for the running workers (MC 1383-1407).

        The operator sorts by name as text, so worker-10 comes before worker-2.
        """
        hosts = [self.launcher.host] if self.launcher_is_worker else []
        hosts += [pod.host for pod in sorted(running, key=lambda pod: pod.name)]
        return "#!/bin/sh\n" + "".join(f"echo {host}\n" for host in hosts)


def lay_out(job: MPIJob, *, extra_env: Iterable[tuple[str, str]] = ()) -> Layout:
    """Lay out a job's pods and files.

    Args:
        job: a valid job.
        extra_env: variables for all pods; left out of a pod where the user set that name.
    """
    extra = tuple(EnvVar(name=name, value=value) for name, value in extra_env)
    roles = job.spec.mpi_replica_specs
    launcher = _launcher(job, roles.launcher, extra)
    workers = tuple(_worker(job, index, extra) for index in range(job.workers))
    hosts = (*((launcher,) if job.spec.run_launcher_as_worker else ()), *workers)
    return Layout(
        job=job.metadata.name,
        namespace=job.metadata.namespace,
        hostfile=_hostfile(job, hosts),
        launcher=launcher,
        workers=workers,
        ranks=len(hosts) * job.spec.slots_per_worker,
        waits_for_workers=job.spec.launcher_creation_policy != "AtStartup",
        launcher_is_worker=job.spec.run_launcher_as_worker,
    )


def _hostfile(job: MPIJob, hosts: Iterable[Pod]) -> str:
    """Return the hostfile (MC 1335-1380)."""
    separator = " slots=" if job.spec.mpi_implementation == "OpenMPI" else ":"
    return "".join(f"{pod.host}{separator}{job.spec.slots_per_worker}\n" for pod in hosts)


def _launcher(job: MPIJob, replica: ReplicaSpec, extra: tuple[EnvVar, ...]) -> Pod:
    config = Projection(
        Source.CONFIG,
        (Item(HOSTFILE, HOSTFILE, 0o444), Item(DISCOVER_HOSTS, DISCOVER_HOSTS, 0o555)),
    )
    pod = _pod(job, replica, Role.LAUNCHER, name=f"{job.metadata.name}-launcher", extra=extra)
    return replace(
        pod,
        projections=(*pod.projections, config),
        mounts=(*pod.mounts, Mount(config.name, CONFIG_MOUNT_PATH, read_only=True)),
        # constants.go 20: the launcher restarts unless the manifest says otherwise.
        restarts=replica.restart_policy != "Never",
    )


def _worker(job: MPIJob, index: int, extra: tuple[EnvVar, ...]) -> Pod:
    replica = job.spec.mpi_replica_specs.worker
    if replica is None:
        message = "a job without a Worker section has no worker pods"
        raise ValueError(message)
    name, namespace = job.metadata.name, job.metadata.namespace
    pod = _pod(job, replica, Role.WORKER, name=f"{name}-worker-{index}", extra=extra)
    default = () if pod.command or pod.container.args else ("/usr/sbin/sshd", "-De")
    return replace(
        pod,
        command=pod.command or default,
        searches=(*pod.searches, f"{name}.{namespace}.svc.{_CLUSTER_DOMAIN}"),
        restarts=replica.restart_policy == "OnFailure",
    )


def _pod(
    job: MPIJob, replica: ReplicaSpec, role: Role, *, name: str, extra: tuple[EnvVar, ...]
) -> Pod:
    """Build what launcher and workers have in common."""
    spec = replica.template.spec
    container = spec.containers[0]
    namespace = job.metadata.namespace
    secret = _secret(job.spec.ssh_auth_mount_path)
    own = {variable.name for variable in container.env}
    return Pod(
        name=name,
        hostname=name,
        subdomain=job.metadata.name,
        namespace=namespace,
        role=role,
        container=container,
        command=container.command,
        env=(
            *(it for it in extra if it.name not in own),
            *container.env,
            *_operator_env(job, role),
        ),
        projections=(secret,),
        empty_dirs=tuple((volume.name, volume.empty_dir) for volume in spec.volumes),
        mounts=(
            *_user_mounts(container),
            Mount(secret.name, job.spec.ssh_auth_mount_path, read_only=True),
        ),
        security=_security(spec),
        searches=(f"{namespace}.svc.{_CLUSTER_DOMAIN}", f"svc.{_CLUSTER_DOMAIN}", _CLUSTER_DOMAIN),
        restarts=False,
        grace_seconds=spec.termination_grace_period_seconds,
    )


def _operator_env(job: MPIJob, role: Role) -> tuple[EnvVar, ...]:
    """Return what the operator appends to a container's variables (MC 169-230, 1610-1635)."""
    pairs = {"K_MPI_JOB_ROLE": role.value}
    if role is Role.LAUNCHER:
        pairs |= _mpi_env(job)
        if not job.spec.run_launcher_as_worker:
            pairs |= {"NVIDIA_VISIBLE_DEVICES": "", "NVIDIA_DRIVER_CAPABILITIES": ""}
    return tuple(EnvVar(name=name, value=value) for name, value in pairs.items())


def _mpi_env(job: MPIJob) -> dict[str, str]:
    hostfile, attempts = f"{CONFIG_MOUNT_PATH}/{HOSTFILE}", "-o ConnectionAttempts=10"
    slots = str(job.spec.slots_per_worker)
    match job.spec.mpi_implementation:
        case "OpenMPI":
            return {
                "OMPI_MCA_orte_keep_fqdn_hostnames": "true",
                "OMPI_MCA_orte_default_hostfile": hostfile,
                "OMPI_MCA_plm_rsh_args": attempts,
                "OMPI_MCA_orte_set_default_slots": slots,
            }
        case "Intel":
            return {
                "I_MPI_HYDRA_HOST_FILE": hostfile,
                "I_MPI_HYDRA_BOOTSTRAP_EXEC_EXTRA_ARGS": attempts,
                "I_MPI_PERHOST": slots,
            }
        case "MPICH":
            return {"HYDRA_HOST_FILE": hostfile, "HYDRA_LAUNCH_EXTRA_ARGS": attempts}


def _secret(mount_path: str) -> Projection:
    """Return the ssh volume: 0600 at root's own path, else Kubernetes' default (MC 1793-1816)."""
    mode = 0o600 if mount_path == ROOT_SSH_PATH else _DEFAULT_MODE
    files = (
        (PRIVATE_KEY, "id_rsa"),
        (PUBLIC_KEY, "id_rsa.pub"),
        (PUBLIC_KEY, "authorized_keys"),
    )
    return Projection(Source.SECRET, tuple(Item(key, path, mode) for key, path in files))


def _user_mounts(container: Container) -> tuple[Mount, ...]:
    return tuple(
        Mount(mount.name, mount.mount_path, mount.sub_path, mount.read_only)
        for mount in container.volume_mounts
    )


def _security(spec: PodSpec) -> Security:
    """Merge the pod's and the container's security context; the container wins."""
    pod, own = spec.security_context, spec.containers[0].security_context
    non_root = pod.run_as_non_root if own.run_as_non_root is None else own.run_as_non_root
    return Security(
        user=pod.run_as_user if own.run_as_user is None else own.run_as_user,
        group=pod.run_as_group if own.run_as_group is None else own.run_as_group,
        non_root=bool(non_root),
        fs_group=pod.fs_group,
        supplemental_groups=pod.supplemental_groups,
        add=own.capabilities.add,
        drop=own.capabilities.drop,
        privilege_escalation=own.allow_privilege_escalation,
        read_only_root=own.read_only_root_filesystem,
    )
