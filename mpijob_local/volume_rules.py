"""Rules about volumes, their mounts and claims.

Layer: pure; a part of ``validation``.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from mpijob_local.models import MPIJob, PodSpec
from mpijob_local.operators import Operator
from mpijob_local.yamlfile import Location


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken rule.

    Attributes:
        location: the field.
        found: what stands there.
        wanted: what the rule asks for.
        refused: whether a cluster would take it, and only this machine cannot.
    """

    location: Location
    found: str
    wanted: str
    refused: bool = False


def volume_findings(pod: PodSpec, at: Location, operator: Operator) -> Iterator[Finding]:
    """Check names and kinds of a pod's volumes."""
    seen = set(operator.reserved_volumes)
    for index, volume in enumerate(pod.volumes):
        if volume.name in seen:
            wanted = "a name that neither the operator nor another volume has"
            yield Finding((*at, "volumes", index, "name"), repr(volume.name), wanted)
        seen.add(volume.name)
        if (volume.empty_dir is None) == (volume.persistent_volume_claim is None):
            found = "neither" if volume.empty_dir is None else "both"
            yield Finding(
                (*at, "volumes", index), found, "either emptyDir or persistentVolumeClaim"
            )


def claim_findings(job: MPIJob, given: Collection[str]) -> Iterator[Finding]:
    """Check that each claim has a directory; a cluster's provisioner is not imitated."""
    for at, name in _claims(job):
        if name not in given:
            yield Finding(at, repr(name), f"a claim with a directory here: --claim {name}=DIR")


def named_claims(job: MPIJob) -> set[str]:
    """Return the names of all claims that the job's pods have."""
    return {name for _, name in _claims(job)}


def _claims(job: MPIJob) -> Iterator[tuple[Location, str]]:
    roles = job.spec.mpi_replica_specs
    for role, replica in (("Launcher", roles.launcher), ("Worker", roles.worker)):
        at: Location = ("spec", "mpiReplicaSpecs", role, "template", "spec", "volumes")
        for index, volume in enumerate(replica.template.spec.volumes if replica else ()):
            if claim := volume.persistent_volume_claim:
                yield (*at, index, "persistentVolumeClaim", "claimName"), claim.claim_name


def mount_findings(
    pod: PodSpec, at: Location, *, operator: Operator, key_path: str
) -> Iterator[Finding]:
    """Check the mounts of a pod's first container, which is at ``at``."""
    on_disk = {
        it.name for it in pod.volumes if it.empty_dir is None or it.empty_dir.medium != "Memory"
    }
    names = {*(volume.name for volume in pod.volumes), *operator.reserved_volumes}
    paths = {key_path}
    for index, mount in enumerate(pod.containers[0].volume_mounts):
        here = (*at, "volumeMounts", index)
        if mount.name not in names:
            wanted = f"the name of a volume of this pod: {', '.join(sorted(names))}"
            yield Finding((*here, "name"), repr(mount.name), wanted)
        if mount.mount_path in paths or not mount.mount_path.startswith("/"):
            wanted = "an absolute path that no other volume has"
            yield Finding((*here, "mountPath"), repr(mount.mount_path), wanted)
        if mount.sub_path.startswith("/") or ".." in mount.sub_path.split("/"):
            yield Finding((*here, "subPath"), repr(mount.sub_path), "a relative path without ..")
        if mount.sub_path and mount.name not in on_disk:
            wanted = "no subPath: here it works only for claims and an emptyDir on disk"
            yield Finding((*here, "subPath"), repr(mount.sub_path), wanted)
        paths.add(mount.mount_path)
