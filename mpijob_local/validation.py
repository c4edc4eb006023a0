"""Rules of the operators and the API server that look at more than one field.

Layer: pure; each rule yields what is wrong at which location.
"""

import re
from collections.abc import Collection, Iterator

from mpijob_local.models import Container, MPIJob, PodSpec, ReplicaSpec
from mpijob_local.operators import MPI_OPERATOR, Operator
from mpijob_local.pod import NETWORKS_ANNOTATION
from mpijob_local.volume_rules import (
    Finding,
    claim_findings,
    mount_findings,
    named_claims,
    volume_findings,
)
from mpijob_local.yamlfile import Location

_DNS_1035 = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
_DNS_1123 = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
# Resources that a pod may ask for here; the first two are enforced.
_KNOWN_RESOURCES = ("cpu", "memory", "ephemeral-storage")
_USUAL_WORKERS = 2


def findings(
    job: MPIJob, *, operator: Operator = MPI_OPERATOR, claims: Collection[str] = ()
) -> tuple[Finding, ...]:
    """Return every broken rule of a job that is well-formed field by field.

    Args:
        job: what the manifest says.
        operator: whose rules hold.
        claims: names of the PersistentVolumeClaims that have a directory.
    """
    return (
        *_names(job, operator),
        *_implementation(job, operator),
        *_replicas(job),
        *_templates(job, operator),
        *claim_findings(job, claims),
    )


def _names(job: MPIJob, operator: Operator) -> Iterator[Finding]:
    """Check names as mpi-operator's validation.go 55-68 and the API server do."""
    last = operator.worker_name(job.metadata.name, max(job.workers - 1, 0))
    if not _DNS_1035.fullmatch(last):
        wanted = (
            "a name such that the last worker's is a DNS label: at most 63 of a-z, 0-9 and -,"
            f" starting with a letter (it is {last!r}, {len(last)} characters)"
        )
        yield Finding(("metadata", "name"), repr(job.metadata.name), wanted)
    if not _DNS_1123.fullmatch(job.metadata.namespace):
        wanted = "a DNS label: at most 63 of a-z, 0-9 and -"
        yield Finding(("metadata", "namespace"), repr(job.metadata.namespace), wanted)


def _implementation(job: MPIJob, operator: Operator) -> Iterator[Finding]:
    found = job.spec.mpi_implementation
    if found not in operator.implementations:
        wanted = f"what {operator.name} has: {', '.join(sorted(operator.implementations))}"
        yield Finding(("spec", "mpiImplementation"), found, wanted)


def _replicas(job: MPIJob) -> Iterator[Finding]:
    """Check the numbers of pods as mpi-operator's validation.go 112-146 does."""
    roles = job.spec.mpi_replica_specs
    at: Location = ("spec", "mpiReplicaSpecs")
    if roles.launcher.replicas not in (None, 1):
        yield Finding((*at, "Launcher", "replicas"), str(roles.launcher.replicas), "1")
    if roles.worker is not None and (roles.worker.replicas or 0) < 1:
        found = "nothing" if roles.worker.replicas is None else str(roles.worker.replicas)
        yield Finding((*at, "Worker", "replicas"), found, "1 or more")


def _templates(job: MPIJob, operator: Operator) -> Iterator[Finding]:
    roles: dict[str, ReplicaSpec | None] = {
        "Launcher": job.spec.mpi_replica_specs.launcher,
        "Worker": job.spec.mpi_replica_specs.worker,
    }
    for role, replica in roles.items():
        if replica is not None:
            at: Location = ("spec", "mpiReplicaSpecs", role, "template", "spec")
            key_path = job.spec.ssh_auth_mount_path
            yield from _pod(replica.template.spec, at, operator=operator, key_path=key_path)


def _pod(pod: PodSpec, at: Location, *, operator: Operator, key_path: str) -> Iterator[Finding]:
    for index, extra in enumerate(pod.containers[1:], start=1):
        wanted = "one container per pod: mpijob-local does not run sidecars yet"
        found = f"container {extra.name!r}"
        yield Finding((*at, "containers", index), found, wanted, refused=True)
    yield from volume_findings(pod, at, operator)
    container_at = (*at, "containers", 0)
    yield from mount_findings(pod, container_at, operator=operator, key_path=key_path)
    yield from _environ(pod.containers[0], container_at, operator)
    yield from _resources(pod.containers[0], container_at)
    yield from _probe(pod.containers[0], container_at)


def _environ(container: Container, at: Location, operator: Operator) -> Iterator[Finding]:
    """Check names of variables as Trainer's mpi.go 95-107 does for those of a TrainJob."""
    for index, variable in enumerate(container.env):
        if variable.name in operator.reserved_env:
            wanted = f"a name that {operator.name} does not reserve for itself"
            yield Finding((*at, "env", index, "name"), variable.name, wanted)


def _resources(container: Container, at: Location) -> Iterator[Finding]:
    limits, requests = container.resources.limits, container.resources.requests
    for kind, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            if name not in _KNOWN_RESOURCES and amount.value:
                wanted = f"no {name}: this machine has no device plugin for it"
                field = (*at, "resources", kind, name)
                yield Finding(field, amount.text, wanted, refused=True)
    for name, amount in requests.items():
        if name in limits and limits[name] < amount:
            wanted = f"at most the limit, {limits[name].text}"
            yield Finding((*at, "resources", "requests", name), amount.text, wanted)


def _probe(container: Container, at: Location) -> Iterator[Finding]:
    probe = container.readiness_probe
    if probe is not None and (probe.exec is None) == (probe.tcp_socket is None):
        found = "both" if probe.exec else "neither"
        yield Finding((*at, "readinessProbe"), found, "either tcpSocket or exec")


def remarks(job: MPIJob, *, networks: int = 1, claims: Collection[str] = ()) -> Iterator[str]:
    """Say what is accepted but has less effect here than on a cluster."""
    if job.workers < _USUAL_WORKERS:
        yield f"only {job.workers} worker: nothing will go from one host to another"
    for name in sorted({*claims} - named_claims(job)):
        yield f"--claim {name}: no pod has a volume with this claim"
    roles = job.spec.mpi_replica_specs
    for role, replica in (("Launcher", roles.launcher), ("Worker", roles.worker)):
        if replica is None:
            continue
        if networks == 1 and NETWORKS_ANNOTATION in replica.template.metadata.annotations:
            yield f"{role}: annotation {NETWORKS_ANNOTATION} needs --networks 2 to have an effect"
        pod = replica.template.spec
        if pod.restart_policy:
            yield f"{role}: restartPolicy of the template is overridden by the replica's"
        for volume in pod.volumes:
            source = volume.empty_dir
            if source and source.size_limit and source.medium != "Memory":
                yield f"{role}: sizeLimit of volume {volume.name} is enforced only in memory"
        if "ephemeral-storage" in pod.containers[0].resources.limits:
            yield f"{role}: the limit of ephemeral-storage is not enforced"
