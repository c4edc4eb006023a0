"""The part of the MPIJob and Pod types that mpijob-local acts on, as frozen models.

Every field here is obeyed. Fields that Kubernetes has and mpijob-local has not are listed in
``refused`` with the reason, so that nothing is dropped silently.

Layer: pure data; defaults are those of mpi-operator v0.8.2 (default.go) unless said.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StrictBool,
    StrictInt,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from mpijob_local.quantity import Quantity, parse_quantity
from mpijob_local.yamlfile import Value

_SCHEDULING = "scheduling is not imitated"
_NOT_YET = "mpijob-local does not support it yet"
_NO_CLUSTER = "there is no cluster to ask"
_OPERATOR = "the operator sets it itself"
_HOST = "pods here have namespaces of their own"

Int32 = Annotated[StrictInt, Field(ge=-(2**31), lt=2**31)]
Count = Annotated[StrictInt, Field(ge=0, lt=2**31)]
Identity = Annotated[StrictInt, Field(ge=0, lt=2**31)]
NonEmpty = Annotated[str, Field(min_length=1)]


def _quantity(value: Value) -> Quantity:
    """Read a quantity, which YAML may have read as a number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise PydanticCustomError("quantity", "a quantity such as 2, 250m or 512Mi")
    try:
        quantity = parse_quantity(str(value))
    except ValueError:
        raise PydanticCustomError("quantity", "a quantity such as 2, 250m or 512Mi") from None
    if quantity.value < 0:
        raise PydanticCustomError("quantity", "a quantity of 0 or more")
    return quantity


Amount = Annotated[Quantity, PlainValidator(_quantity)]


class Strict(BaseModel):
    """A record that refuses unknown fields; ``refused`` says why some known ones are."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)
    refused: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _drop_empty_refused(cls, data: Value) -> Value:
        """Accept ``hostNetwork: false`` and the like: they ask for nothing."""
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value or key not in cls.refused}


class FieldRef(Strict):
    """A field of the pod itself as the value of a variable."""

    field_path: Literal["metadata.name", "metadata.namespace", "status.podIP"]
    api_version: str = "v1"


class EnvSource(Strict):
    """Where the value of a variable comes from."""

    field_ref: FieldRef
    refused: ClassVar[Mapping[str, str]] = {
        "secretKeyRef": _NO_CLUSTER,
        "configMapKeyRef": _NO_CLUSTER,
        "resourceFieldRef": _NOT_YET,
        "fileKeyRef": _NOT_YET,
    }


class EnvVar(Strict):
    """An environment variable of a container."""

    name: NonEmpty
    value: str = ""
    value_from: EnvSource | None = None


class Port(Strict):
    """A port that a container listens on; information only, as in Kubernetes."""

    container_port: Annotated[StrictInt, Field(ge=1, le=65535)]
    name: str = ""
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"
    refused: ClassVar[Mapping[str, str]] = {"hostPort": _HOST, "hostIP": _HOST}


class Resources(Strict):
    """Requests and limits; limits on cpu and memory are enforced."""

    limits: Mapping[str, Amount] = {}
    requests: Mapping[str, Amount] = {}
    refused: ClassVar[Mapping[str, str]] = {"claims": _SCHEDULING}


class VolumeMount(Strict):
    """A place in the container where a volume appears."""

    name: NonEmpty
    mount_path: NonEmpty
    sub_path: str = ""
    read_only: StrictBool = False
    refused: ClassVar[Mapping[str, str]] = {
        "subPathExpr": _NOT_YET,
        "mountPropagation": _NOT_YET,
        "recursiveReadOnly": _NOT_YET,
    }


class Capabilities(Strict):
    """Capabilities to add to and drop from those that the engine gives."""

    add: tuple[NonEmpty, ...] = ()
    drop: tuple[NonEmpty, ...] = ()


class SeccompProfile(Strict):
    """The seccomp profile; only the engine's own can be had."""

    type: Literal["RuntimeDefault"]


class SecurityContext(Strict):
    """A container's own security settings, which win over the pod's."""

    run_as_user: Identity | None = None
    run_as_group: Identity | None = None
    run_as_non_root: StrictBool | None = None
    capabilities: Capabilities = Capabilities()
    allow_privilege_escalation: StrictBool = True
    read_only_root_filesystem: StrictBool = False
    seccomp_profile: SeccompProfile | None = None
    refused: ClassVar[Mapping[str, str]] = {
        "privileged": "a container never gets the whole machine",
        "procMount": _NOT_YET,
        "seLinuxOptions": _NOT_YET,
        "appArmorProfile": _NOT_YET,
        "windowsOptions": _NOT_YET,
    }


class PodSecurityContext(Strict):
    """Security settings of every container in a pod, and of its volumes."""

    run_as_user: Identity | None = None
    run_as_group: Identity | None = None
    run_as_non_root: StrictBool | None = None
    fs_group: Identity | None = None
    supplemental_groups: tuple[Identity, ...] = ()
    fs_group_change_policy: Literal["Always", "OnRootMismatch"] = "Always"
    seccomp_profile: SeccompProfile | None = None
    refused: ClassVar[Mapping[str, str]] = {
        "sysctls": _NOT_YET,
        "supplementalGroupsPolicy": _NOT_YET,
        "seLinuxOptions": _NOT_YET,
        "seLinuxChangePolicy": _NOT_YET,
        "appArmorProfile": _NOT_YET,
        "windowsOptions": _NOT_YET,
    }


class TcpSocket(Strict):
    """A probe that succeeds when something listens."""

    port: Annotated[StrictInt, Field(ge=1, le=65535)]


class ExecAction(Strict):
    """A probe that succeeds when a program in the container exits with 0."""

    command: Annotated[tuple[str, ...], Field(min_length=1)]


class Probe(Strict):
    """A readiness probe; defaults are those of Kubernetes."""

    tcp_socket: TcpSocket | None = None
    exec: ExecAction | None = None
    initial_delay_seconds: Count = 0
    period_seconds: Annotated[StrictInt, Field(ge=1)] = 10
    timeout_seconds: Annotated[StrictInt, Field(ge=1)] = 1
    success_threshold: Annotated[StrictInt, Field(ge=1)] = 1
    failure_threshold: Annotated[StrictInt, Field(ge=1)] = 3
    refused: ClassVar[Mapping[str, str]] = {"httpGet": _NOT_YET, "grpc": _NOT_YET}


class Container(Strict):
    """The container of a pod."""

    name: NonEmpty
    image: NonEmpty
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    env: tuple[EnvVar, ...] = ()
    ports: tuple[Port, ...] = ()
    resources: Resources = Resources()
    volume_mounts: tuple[VolumeMount, ...] = ()
    security_context: SecurityContext = SecurityContext()
    readiness_probe: Probe | None = None
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    termination_message_path: NonEmpty = "/dev/termination-log"
    termination_message_policy: Literal["File", "FallbackToLogsOnError"] = "File"
    refused: ClassVar[Mapping[str, str]] = {
        "envFrom": _NO_CLUSTER,
        "livenessProbe": _NOT_YET,
        "startupProbe": _NOT_YET,
        "lifecycle": _NOT_YET,
        "volumeDevices": _NOT_YET,
        "restartPolicy": _NOT_YET,
        "resizePolicy": _NOT_YET,
        "stdin": _NOT_YET,
        "stdinOnce": _NOT_YET,
        "tty": _NOT_YET,
    }


class EmptyDir(Strict):
    """A directory that lives as long as its pod."""

    medium: Literal["", "Memory"] = ""
    size_limit: Amount | None = None


class PersistentVolumeClaim(Strict):
    """A claim by name, whose place a directory takes (``run --claim NAME=DIR``)."""

    claim_name: NonEmpty
    read_only: StrictBool = False


class Volume(Strict):
    """A volume of a pod: one of its two kinds, which ``validation`` checks."""

    name: NonEmpty
    empty_dir: EmptyDir | None = None
    persistent_volume_claim: PersistentVolumeClaim | None = None
    refused: ClassVar[Mapping[str, str]] = {
        "hostPath": _NOT_YET,
        "ephemeral": _NO_CLUSTER,
        "configMap": _NO_CLUSTER,
        "secret": _NO_CLUSTER,
        "projected": _NO_CLUSTER,
        "downwardAPI": _NOT_YET,
        "csi": _NO_CLUSTER,
        "nfs": _NOT_YET,
        "image": _NOT_YET,
    }


class PodSpec(Strict):
    """What runs in a pod."""

    containers: Annotated[tuple[Container, ...], Field(min_length=1)]
    volumes: tuple[Volume, ...] = ()
    security_context: PodSecurityContext = PodSecurityContext()
    restart_policy: str = ""
    termination_grace_period_seconds: Count = 30
    automount_service_account_token: StrictBool = True
    enable_service_links: StrictBool = True
    image_pull_secrets: tuple[Mapping[str, str], ...] = ()
    refused: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(
            (
                "nodeSelector",
                "tolerations",
                "affinity",
                "schedulingPolicy",
                "priorityClassName",
                "priority",
                "preemptionPolicy",
                "schedulerName",
                "schedulingGates",
                "nodeName",
                "runtimeClassName",
                "topologySpreadConstraints",
                "resourceClaims",
                "overhead",
            ),
            _SCHEDULING,
        ),
        **dict.fromkeys(("hostNetwork", "hostPID", "hostIPC", "hostUsers"), _HOST),
        **dict.fromkeys(("hostname", "subdomain", "setHostnameAsFQDN"), _OPERATOR),
        **dict.fromkeys(("serviceAccountName", "serviceAccount"), _NO_CLUSTER),
        **dict.fromkeys(
            (
                "initContainers",
                "ephemeralContainers",
                "shareProcessNamespace",
                "activeDeadlineSeconds",
                "dnsPolicy",
                "dnsConfig",
                "hostAliases",
                "readinessGates",
                "resources",
                "os",
            ),
            _NOT_YET,
        ),
    }


class TemplateMeta(Strict):
    """Labels and annotations of a pod.

    Of all these only Multus' annotation has an effect: ``pod.NETWORKS_ANNOTATION``.
    """

    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    name: str = ""
    creation_timestamp: str | None = None


class PodTemplate(Strict):
    """The template of a replica's pods."""

    metadata: TemplateMeta = TemplateMeta()
    spec: PodSpec


class ReplicaSpec(Strict):
    """One role of the job: how many pods, and from which template."""

    template: PodTemplate
    replicas: Int32 | None = None
    restart_policy: Literal["Never", "OnFailure"] | None = None


class ReplicaSpecs(Strict):
    """The two roles of an MPIJob; the only fields that are spelt with a capital."""

    launcher: Annotated[ReplicaSpec, Field(alias="Launcher")]
    worker: Annotated[ReplicaSpec | None, Field(alias="Worker")] = None


class RunPolicy(Strict):
    """What happens when the launcher ends."""

    clean_pod_policy: Literal["None", "Running", "All"] = "None"
    ttl_seconds_after_finished: Count | None = None
    active_deadline_seconds: Count | None = None
    # batch/v1 Job's default
    backoff_limit: Count = 6
    managed_by: Literal["kubeflow.org/mpi-operator"] = "kubeflow.org/mpi-operator"
    refused: ClassVar[Mapping[str, str]] = {
        "schedulingPolicy": _SCHEDULING,
        "suspend": "a suspended job does not run",
    }


class Spec(Strict):
    """The specification of an MPIJob."""

    mpi_replica_specs: ReplicaSpecs
    slots_per_worker: Count = 1
    run_launcher_as_worker: StrictBool = False
    ssh_auth_mount_path: NonEmpty = "/root/.ssh"
    # Not an enumeration upstream: every value but AtStartup waits.
    launcher_creation_policy: str = "AtStartup"
    mpi_implementation: Annotated[
        Literal["OpenMPI", "Intel", "MPICH"], Field(alias="mpiImplementation")
    ] = "OpenMPI"
    run_policy: RunPolicy = RunPolicy()


class JobMeta(Strict):
    """Name and namespace of the job; labels and annotations have no effect here."""

    name: NonEmpty
    namespace: NonEmpty = "default"
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    refused: ClassVar[Mapping[str, str]] = dict.fromkeys(
        (
            "generateName",
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "deletionTimestamp",
            "managedFields",
            "ownerReferences",
            "finalizers",
            "selfLink",
        ),
        "the cluster sets it, or needs it",
    )


class MPIJob(Strict):
    """A ``kubeflow.org/v2beta1`` MPIJob."""

    api_version: Literal["kubeflow.org/v2beta1"]
    kind: Literal["MPIJob"]
    metadata: JobMeta
    spec: Spec
    refused: ClassVar[Mapping[str, str]] = {"status": "the cluster sets it"}

    @property
    def workers(self) -> int:
        """The number of worker pods."""
        worker = self.spec.mpi_replica_specs.worker
        return (worker.replicas or 0) if worker else 0
