"""What an operator creates, as records: pods, their volumes and their security.

Layer: pure data; imports only the models.
"""

from dataclasses import dataclass
from enum import StrEnum

from mpijob_local.models import Container, EmptyDir, EnvVar

CLUSTER_DOMAIN = "cluster.local"
DEFAULT_MODE = 0o644
"""Kubernetes' own mode for files of secrets and configMaps."""

NETWORKS_ANNOTATION = "k8s.v1.cni.cncf.io/networks"
"""Multus' annotation for pods that have more than the pod network."""

HOSTFILE = "hostfile"
DISCOVER_HOSTS = "discover_hosts.sh"
PRIVATE_KEY = "ssh-privatekey"
PUBLIC_KEY = "ssh-publickey"


class Role(StrEnum):
    """The part that a pod plays."""

    LAUNCHER = "launcher"
    WORKER = "worker"


class Source(StrEnum):
    """The kind of object whose keys a projected volume shows."""

    SECRET = "secret"  # noqa: S105 a word, not one
    CONFIG = "configMap"


@dataclass(frozen=True, slots=True)
class Item:
    """One key of an object as one file of a volume."""

    key: str
    path: str
    mode: int = DEFAULT_MODE


@dataclass(frozen=True, slots=True)
class Projection:
    """A read-only volume that shows keys of a secret or configMap as files.

    Attributes:
        name: the volume's name in the pod.
    """

    name: str
    source: Source
    items: tuple[Item, ...]


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
        host: the name in the hostfile.
        claims: the claim's name by volume.
        env: the user's variables, then the operator's; references not yet expanded.
        searches: search domains of its resolver.
        restarts: restart in place after a failure (restartPolicy OnFailure).
        has_all_networks: it is in all of the job's networks, not only in the pod network.
    """

    name: str
    hostname: str
    subdomain: str
    namespace: str
    host: str
    role: Role
    container: Container
    command: tuple[str, ...]
    env: tuple[EnvVar, ...]
    projections: tuple[Projection, ...]
    empty_dirs: tuple[tuple[str, EmptyDir], ...]
    claims: tuple[tuple[str, str], ...]
    mounts: tuple[Mount, ...]
    security: Security
    searches: tuple[str, ...]
    restarts: bool
    grace_seconds: int
    has_all_networks: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """Every name the cluster's DNS has for this pod, the job's service included.

        Shorter ones are found by way of the resolver's search domains.
        """
        service = f"{self.subdomain}.{self.namespace}.svc"
        short = (f"{self.hostname}.{service}", service)
        return (*short, *(f"{name}.{CLUSTER_DOMAIN}" for name in short))
