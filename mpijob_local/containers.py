"""A pod as the arguments of ``podman run``.

Layer: pure; what only the machine knows comes in as a ``Placement``.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mpijob_local.expansion import expand, expand_environ
from mpijob_local.models import EmptyDir, EnvVar
from mpijob_local.pod import Mount, Pod

JOB_LABEL = "mpijob.local/job"
ROLE_LABEL = "mpijob.local/role"
POD_LABEL = "mpijob.local/pod"
RUN_LABEL = "mpijob.local/run"
ADDRESS_LABEL = "mpijob.local/ip"
ADDRESSES_LABEL = "mpijob.local/ips"


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What an image says about the programs that run in it.

    Attributes:
        user: its USER, as ``name``, ``uid`` or ``uid:gid``.
        home: the variable HOME, if set.
        open_mpi: the version of Open MPI in an image of ours, else empty.
    """

    user: str = ""
    home: str = ""
    working_dir: str = "/"
    open_mpi: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A pod's place in one network.

    Attributes:
        network: podman's name of the network.
        interface: the interface's name in the pod.
        address: the pod's IP address there.
    """

    network: str
    interface: str
    address: str


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a pod runs on this machine.

    Attributes:
        run: identifier of the run, a label on everything it makes.
        attachments: the pod's networks; the first is the pod network, which has the names.
        hosts_file, termination_log, log_file: files on this machine.
        volumes: directory on this machine by volume name; memory volumes have none.
        nologin_entry: give a UID without a name the passwd entry that CRI-O injects.
        image: what the pod's image says.
        extra: further arguments of podman that this machine needs.
    """

    run: str
    attachments: tuple[Attachment, ...]
    hosts_file: Path
    termination_log: Path
    log_file: Path
    volumes: Mapping[str, Path]
    nologin_entry: bool = False
    image: ImageConfig = ImageConfig()
    extra: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """The pod's address in the pod network, ``status.podIP``."""
        return self.attachments[0].address


def container_name(pod: Pod) -> str:
    """Return the container's name; dots keep namespace and pod apart."""
    return f"mpijob.{pod.namespace}.{pod.name}"


def run_arguments(pod: Pod, place: Placement) -> tuple[str, ...]:
    """Return what follows ``podman`` to run the pod in the background."""
    environ = expand_environ(
        (variable.name, _value(variable, pod, place.address)) for variable in pod.env
    )
    return (
        *("run", "--detach", "--pull=never", f"--name={container_name(pod)}"),
        *_labels(pod, place),
        *_network(pod, place),
        *_files(pod, place),
        *_security(pod, place, home=environ.get("HOME", place.image.home)),
        *_limits(pod),
        *(f"--env={name}={value}" for name, value in environ.items()),
        *place.extra,
        *_program(pod, environ),
    )


def _value(variable: EnvVar, pod: Pod, address: str) -> str:
    if variable.value_from is None:
        return variable.value
    match variable.value_from.field_ref.field_path:
        case "metadata.name":
            return pod.name
        case "metadata.namespace":
            return pod.namespace
        case "status.podIP":
            return address


def _labels(pod: Pod, place: Placement) -> Iterator[str]:
    labels = {
        JOB_LABEL: f"{pod.namespace}/{pod.subdomain}",
        ROLE_LABEL: pod.role.value,
        POD_LABEL: pod.name,
        RUN_LABEL: place.run,
        ADDRESS_LABEL: place.address,
        ADDRESSES_LABEL: ",".join(it.address for it in place.attachments),
    }
    return (f"--label={name}={value}" for name, value in labels.items())


def _network(pod: Pod, place: Placement) -> Iterator[str]:
    first, *others = place.attachments
    yield _join(first, (f"alias={name}" for name in pod.names))
    yield from (_join(attachment) for attachment in others)
    yield from (f"--hostname={pod.hostname}", "--no-hosts")
    yield from (f"--dns-search={domain}" for domain in pod.searches)
    # The kubelet hands a node's proxy settings to nobody.
    yield "--http-proxy=false"


def _join(attachment: Attachment, more: Iterable[str] = ()) -> str:
    fields = (f"ip={attachment.address}", f"interface_name={attachment.interface}", *more)
    return f"--network={attachment.network}:{','.join(fields)}"


def _files(pod: Pod, place: Placement) -> Iterator[str]:
    yield _bind(place.hosts_file, "/etc/hosts")
    yield _bind(place.termination_log, pod.container.termination_message_path)
    yield from ("--log-driver=k8s-file", f"--log-opt=path={place.log_file}")
    memory = {name: source for name, source in pod.empty_dirs if source.medium == "Memory"}
    for mount in pod.mounts:
        if mount.volume in memory:
            yield _tmpfs(mount, memory[mount.volume])
        else:
            source = place.volumes[mount.volume] / mount.sub_path
            yield _bind(source, mount.path, read_only=mount.read_only)
    if pod.container.working_dir:
        yield f"--workdir={pod.container.working_dir}"


def _bind(source: Path, target: str, *, read_only: bool = False) -> str:
    fields = ["type=bind", f"source={source}", f"target={target}"]
    return _mount([*fields, "readonly=true"] if read_only else fields)


def _tmpfs(mount: Mount, source: EmptyDir) -> str:
    fields = ["type=tmpfs", f"target={mount.path}", "tmpfs-mode=1777"]
    if source.size_limit is not None:
        fields.append(f"tmpfs-size={source.size_limit.whole}")
    return _mount([*fields, "readonly=true"] if mount.read_only else fields)


def _mount(fields: Iterable[str]) -> str:
    """Join the fields of ``--mount`` as the CSV that podman reads, commas in paths quoted."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(fields)
    return f"--mount={text.getvalue()}"


def _security(pod: Pod, place: Placement, *, home: str) -> Iterator[str]:
    security = pod.security
    if security.user is not None or security.group is not None:
        user = place.image.user.partition(":")[0] if security.user is None else security.user
        group = "" if security.group is None else f":{security.group}"
        yield f"--user={user or 0}{group}"
    yield from _passwd(
        security.user if place.nologin_entry else None,
        home=home or pod.container.working_dir or place.image.working_dir,
    )
    groups = (*security.supplemental_groups, *_present(security.fs_group))
    yield from (f"--group-add={group}" for group in groups)
    yield from (f"--cap-drop={name}" for name in security.drop)
    yield from (f"--cap-add={name}" for name in security.add)
    if not security.privilege_escalation:
        yield "--security-opt=no-new-privileges"
    if security.read_only_root:
        yield from ("--read-only", "--read-only-tmpfs=false")


def _passwd(nologin_user: int | None, *, home: str) -> Iterator[str]:
    """Say which entry /etc/passwd gets for a UID without a name."""
    if nologin_user is None:
        # containerd adds none; podman would.
        yield "--passwd=false"
        return
    # cri-o utils.GeneratePasswd, before it looks at runAsGroup: the group of such a UID is 0.
    # podman leaves the file alone if the UID has a name.
    name = str(nologin_user)
    yield f"--passwd-entry={name}:x:{name}:0:{name} user:{home}:/sbin/nologin"


def _limits(pod: Pod) -> Iterator[str]:
    limits = pod.container.resources.limits
    if (memory := limits.get("memory")) is not None and memory.value:
        # As much again as swap would hide what a cluster kills.
        yield from (f"--memory={memory.whole}", f"--memory-swap={memory.whole}")
    if (cpu := limits.get("cpu")) is not None and cpu.value:
        yield f"--cpus={cpu.value.normalize():f}"
    # The kubelet's default (podPidsLimit: -1); podman's is 2048.
    yield "--pids-limit=-1"
    yield f"--stop-timeout={pod.grace_seconds}"
    # What podman does beyond a container runtime of Kubernetes.
    yield from ("--systemd=false", "--sdnotify=ignore", "--no-healthcheck")


def _program(pod: Pod, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield image and program: command replaces ENTRYPOINT, args replace CMD."""
    command = [expand(word, environ) for word in pod.command]
    if command:
        yield f"--entrypoint={json.dumps(command)}"
    yield pod.container.image
    yield from (expand(word, environ) for word in pod.container.args)


def _present(value: int | None) -> tuple[int, ...]:
    return () if value is None else (value,)
