"""What an operator makes of an MPIJob: hostfile, variables, volumes and pods.

Layer: pure; imports the models, the operators and the records of pods.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mpijob_local.models import Container, EnvVar, MPIJob, PodSpec, ReplicaSpec
from mpijob_local.operators import CONFIG_MOUNT_PATH, MPI_OPERATOR, Operator
from mpijob_local.pod import (
    CLUSTER_DOMAIN,
    NETWORKS_ANNOTATION,
    PRIVATE_KEY,
    PUBLIC_KEY,
    Item,
    Mount,
    Pod,
    Projection,
    Role,
    Security,
    Source,
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything an operator makes of one MPIJob.

    Attributes:
        operator: which operator.
        launcher: the launcher's pod; each attempt gets a name of its own from ``attempt``.
        workers: the worker pods in order of their index.
        ranks: the sum of all slots.
        waits_for_workers: the launcher starts only when all workers are ready.
        launcher_is_worker: the launcher is in its own hostfile.
        clean_pod_policy: what happens to the workers when the launcher has ended.
    """

    operator: Operator
    job: str
    namespace: str
    hostfile: str
    launcher: Pod
    workers: tuple[Pod, ...]
    ranks: int
    waits_for_workers: bool
    launcher_is_worker: bool
    clean_pod_policy: str

    @property
    def pods(self) -> tuple[Pod, ...]:
        """All pods in the order in which the operator creates them."""
        return (*self.workers, self.launcher)

    def attempt(self, suffix: str) -> Pod:
        """Return the launcher's pod under the name that batch/v1 Job gives an attempt."""
        return replace(self.launcher, name=f"{self.launcher.hostname}-{suffix}")

    def discover_hosts(self, running: Iterable[Pod]) -> str:
        """Return ``discover_hosts.sh`` for the running workers (mpi_job_controller.go 1383-1407).

        The operator sorts by name as text, so worker-10 comes before worker-2.
        """
        hosts = [self.launcher.host] if self.launcher_is_worker else []
        hosts += [pod.host for pod in sorted(running, key=lambda pod: pod.name)]
        return self.operator.discover_hosts(hosts)


def lay_out(
    job: MPIJob,
    *,
    operator: Operator = MPI_OPERATOR,
    extra_env: Iterable[tuple[str, str]] = (),
) -> Layout:
    """Lay out a job's pods and files.

    Args:
        job: a job that is valid for this operator.
        operator: whose way it is done.
        extra_env: variables for all pods; left out of a pod where the user set that name.
    """
    extra = tuple(EnvVar(name=name, value=value) for name, value in extra_env)
    making = _Making(job, operator, extra)
    launcher = making.launcher()
    workers = tuple(making.worker(index) for index in range(job.workers))
    hosts = (*((launcher,) if job.spec.run_launcher_as_worker else ()), *workers)
    return Layout(
        operator=operator,
        job=job.metadata.name,
        namespace=job.metadata.namespace,
        hostfile=_hostfile(job, hosts),
        launcher=launcher,
        workers=workers,
        ranks=len(hosts) * job.spec.slots_per_worker,
        waits_for_workers=operator.waits_for_workers(job),
        launcher_is_worker=job.spec.run_launcher_as_worker,
        clean_pod_policy=operator.clean_pod_policy(job),
    )


def _hostfile(job: MPIJob, hosts: Iterable[Pod]) -> str:
    """Return the hostfile (mpi_job_controller.go 1335-1380; mpi.go's for Open MPI is the same)."""
    separator = " slots=" if job.spec.mpi_implementation == "OpenMPI" else ":"
    return "".join(f"{pod.host}{separator}{job.spec.slots_per_worker}\n" for pod in hosts)


@dataclass(frozen=True, slots=True)
class _Making:
    """Makes the pods of one job."""

    job: MPIJob
    operator: Operator
    extra: tuple[EnvVar, ...]

    def launcher(self) -> Pod:
        """Return the launcher's pod, with the operator's files."""
        replica = self.job.spec.mpi_replica_specs.launcher
        name = self.operator.launcher_name(self.job.metadata.name)
        config = Projection(self.operator.config_volume, Source.CONFIG, self.operator.config_items)
        pod = self._pod(replica, Role.LAUNCHER, name)
        return replace(
            pod,
            projections=(*pod.projections, config),
            mounts=(*pod.mounts, Mount(config.name, CONFIG_MOUNT_PATH, read_only=True)),
        )

    def worker(self, index: int) -> Pod:
        """Return a worker's pod, which runs sshd unless the manifest says what else."""
        replica = self.job.spec.mpi_replica_specs.worker
        if replica is None:
            message = "a job without a Worker section has no worker pods"
            raise ValueError(message)
        name, namespace = self.job.metadata.name, self.job.metadata.namespace
        pod = self._pod(replica, Role.WORKER, self.operator.worker_name(name, index))
        default = () if pod.command or pod.container.args else ("/usr/sbin/sshd", "-De")
        return replace(
            pod,
            command=pod.command or default,
            searches=(*pod.searches, *self.operator.worker_searches(name, namespace)),
        )

    def _pod(self, replica: ReplicaSpec, role: Role, name: str) -> Pod:
        """Build what launcher and workers have in common."""
        spec = replica.template.spec
        container = spec.containers[0]
        job, namespace = self.job.metadata.name, self.job.metadata.namespace
        secret = self._secret()
        return Pod(
            name=name,
            hostname=name,
            subdomain=job,
            namespace=namespace,
            host=self.operator.host_name(name, job, namespace),
            role=role,
            container=container,
            command=container.command,
            env=self._env(container, role),
            projections=(secret,),
            empty_dirs=tuple((it.name, it.empty_dir) for it in spec.volumes if it.empty_dir),
            claims=tuple(
                (it.name, it.persistent_volume_claim.claim_name)
                for it in spec.volumes
                if it.persistent_volume_claim
            ),
            mounts=(
                *_user_mounts(spec),
                Mount(secret.name, self.job.spec.ssh_auth_mount_path, read_only=True),
            ),
            security=_security(spec),
            searches=(f"{namespace}.svc.{CLUSTER_DOMAIN}", f"svc.{CLUSTER_DOMAIN}", CLUSTER_DOMAIN),
            restarts=self.operator.restarts(replica, role),
            grace_seconds=spec.termination_grace_period_seconds,
            has_all_networks=self._has_all_networks(replica),
        )

    def _has_all_networks(self, replica: ReplicaSpec) -> bool:
        """Tell whether the replica has Multus' annotation, or none has it."""
        roles = self.job.spec.mpi_replica_specs
        annotated = (
            NETWORKS_ANNOTATION in role.template.metadata.annotations
            for role in (roles.launcher, roles.worker)
            if role is not None
        )
        return NETWORKS_ANNOTATION in replica.template.metadata.annotations or not any(annotated)

    def _env(self, container: Container, role: Role) -> tuple[EnvVar, ...]:
        """Return ours, the user's and the operator's variables; of one name the last wins."""
        own = {variable.name for variable in container.env}
        given = self.operator.environ(self.job, role)
        return (
            *(it for it in self.extra if it.name not in own),
            *container.env,
            *(EnvVar(name=name, value=value) for name, value in given.items()),
        )

    def _secret(self) -> Projection:
        """Return the volume of the ssh keys."""
        private, public = self.operator.key_modes(self.job.spec.ssh_auth_mount_path)
        items = (
            Item(PRIVATE_KEY, "id_rsa", private),
            Item(PUBLIC_KEY, "id_rsa.pub", public),
            Item(PUBLIC_KEY, "authorized_keys", public),
        )
        return Projection(self.operator.secret_volume, Source.SECRET, items)


def _user_mounts(spec: PodSpec) -> tuple[Mount, ...]:
    """Return the container's mounts; a claim's own readOnly holds for all of its mounts."""
    read_only = {
        volume.name
        for volume in spec.volumes
        if volume.persistent_volume_claim and volume.persistent_volume_claim.read_only
    }
    return tuple(
        Mount(
            mount.name, mount.mount_path, mount.sub_path, mount.read_only or mount.name in read_only
        )
        for mount in spec.containers[0].volume_mounts
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
