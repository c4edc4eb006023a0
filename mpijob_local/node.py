"""The stand-in for a cluster's node: runs pods as containers, with the kubelet's files.

Layer: effects; every pod is one container, every container carries the job's labels.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mpijob_local.containers import (
    Attachment,
    ImageConfig,
    Placement,
    container_name,
    run_arguments,
)
from mpijob_local.hook import annotation, check_shaped
from mpijob_local.kubelet import (
    Ownership,
    hosts_text,
    make_empty_dir,
    write_projection,
    write_termination_log,
)
from mpijob_local.network import JobNetwork
from mpijob_local.pod import Pod, Projection, Source
from mpijob_local.podman import Engine, Finished, PodmanError
from mpijob_local.state import JobState
from mpijob_runtime.errors import ProgramNotFoundError

_KILLED = 137

# A secret's volume is a tmpfs, a configMap's a plain directory (kubelet pkg/volume).
_VOLUME_MODES = {Source.SECRET: 0o1777, Source.CONFIG: 0o777}
# What Kubernetes keeps of a termination log
_TERMINATION_BYTES = 4096
_NOT_FOUND = (126, 127)


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container ended.

    Attributes:
        oom_killed: the engine saw that memory ran out, which not every machine lets it see.
        gone: somebody removed the container; the code is then that of a kill.
        memory_limit: the container's limit, as in the manifest.
    """

    code: int
    oom_killed: bool = False
    gone: bool = False
    memory_limit: str = ""

    @property
    def reason(self) -> str:
        """Kubernetes' reason for the state of a terminated container."""
        if self.gone:
            return "removed by somebody else"
        if self.oom_killed:
            return f"OOMKilled (memory limit {self.memory_limit}), exit code {self.code}"
        if self.code == _KILLED and self.memory_limit:
            return (
                f"exit code {self.code}: killed, perhaps for its memory limit {self.memory_limit}"
            )
        return f"exit code {self.code}"


@dataclass(slots=True)
class Node:
    """Runs the pods of one job.

    Attributes:
        engine: podman.
        state: the job's directory.
        networks: the job's networks, the pod network first.
        run: identifier of this run.
        objects: content of the job's secret and configMap by key.
        images: what each image says.
        claims: the directory of each claim; prepared.
        nologin_entry: imitate CRI-O's passwd entry.
        extra: further arguments that ``podman run`` needs on this machine.
        podman_options: those that podman itself needs.
    """

    engine: Engine
    state: JobState
    networks: tuple[JobNetwork, ...]
    run: str
    objects: dict[str, bytes]
    images: Mapping[str, ImageConfig]
    claims: Mapping[str, Path] = field(default_factory=dict)
    nologin_entry: bool = False
    extra: tuple[str, ...] = ()
    podman_options: tuple[str, ...] = ()
    _indexes: dict[str, int] = field(default_factory=dict)

    def address(self, pod: Pod) -> str:
        """Return the pod's address in the pod network: one per host name, kept over restarts."""
        return self._attachments(pod)[0].address

    def log_file(self, pod: Pod) -> Path:
        """Return the file that holds the pod's output."""
        return self.state.logs / f"{pod.name}.log"

    def prepare(self, pod: Pod) -> None:
        """Write the pod's volumes and files."""
        directory = self._directory(pod)
        directory.mkdir(parents=True)
        address = self.address(pod)
        hosts = directory / "hosts"
        hosts.write_text(
            hosts_text(
                address, hostname=pod.hostname, subdomain=pod.subdomain, namespace=pod.namespace
            ),
            encoding="utf-8",
        )
        hosts.chmod(0o644)
        write_termination_log(directory / "termination-log")
        for projection in pod.projections:
            self.project(pod, projection)
        for name, _ in pod.empty_dirs:
            below = (mount.sub_path for mount in pod.mounts if mount.volume == name)
            make_empty_dir(self._volume(pod, name), owner=self._owner(pod), sub_paths=below)

    def project(self, pod: Pod, projection: Projection) -> None:
        """Write or update a secret or configMap volume of the pod."""
        write_projection(
            self._volume(pod, projection.name),
            projection.items,
            self.objects,
            owner=self._owner(pod),
            volume_mode=_VOLUME_MODES[projection.source],
        )

    def start(self, pod: Pod) -> None:
        """Start the pod's container.

        Raises:
            ProgramNotFoundError: the image has no such program.
            PodmanError: podman refused for another reason, or its links could not be shaped.
            ConfigurationError: podman has not tried to shape them.
        """
        arguments = run_arguments(pod, self._placement(pod))
        done = self.engine.run(*self.podman_options, *arguments, accept=())
        if done.exit_code:
            raise _refused(pod, done)
        if self._rates(pod):
            check_shaped(self.state.hooks, done.stdout.strip())

    def restart(self, pod: Pod) -> None:
        """Start the container anew in the same pod: same volumes, fresh root file system."""
        self.engine.run("rm", "--force", "--volumes", container_name(pod), accept=())
        write_termination_log(self._directory(pod) / "termination-log")
        self.start(pod)

    def exit_of(self, pod: Pod) -> Exit:
        """Return how the container of a pod ended."""
        name = container_name(pod)
        if self.engine.run("wait", name, accept=()).exit_code:
            return Exit(_KILLED, gone=True)
        done = self.engine.run(
            "inspect", "--format={{.State.ExitCode}} {{.State.OOMKilled}}", name, accept=()
        )
        code, _, oom_killed = done.stdout.strip().partition(" ")
        if not code:
            return Exit(_KILLED, gone=True)
        limit = pod.container.resources.limits.get("memory")
        return Exit(int(code), oom_killed == "true", memory_limit=limit.text if limit else "")

    def stop(self, pod: Pod, *, grace_seconds: float) -> None:
        """Send SIGTERM to a pod and SIGKILL when the grace is over."""
        name = container_name(pod)
        self.engine.run("stop", f"--time={grace_seconds:.0f}", name, accept=())

    def termination_message(self, pod: Pod) -> str:
        """Return what the pod left in its termination log."""
        path = self._directory(pod) / "termination-log"
        if not path.exists():
            return ""
        with path.open("rb") as file:
            return file.read(_TERMINATION_BYTES).decode("utf-8", "replace").strip()

    def _networks(self, pod: Pod) -> tuple[JobNetwork, ...]:
        """Return the pod's networks: all, or the pod network alone."""
        return self.networks if pod.has_all_networks else self.networks[:1]

    def _rates(self, pod: Pod) -> tuple[str, ...]:
        rates = {it.interface: it.bits_per_second for it in self._networks(pod)}
        return (annotation(rates),) if any(rates.values()) else ()

    def _attachments(self, pod: Pod) -> tuple[Attachment, ...]:
        index = self._indexes.setdefault(pod.hostname, len(self._indexes))
        return tuple(
            Attachment(network.name, network.interface, str(network.address(index)))
            for network in self._networks(pod)
        )

    def _placement(self, pod: Pod) -> Placement:
        directory = self._directory(pod)
        names = [it.name for it in pod.projections] + [name for name, _ in pod.empty_dirs]
        return Placement(
            run=self.run,
            attachments=self._attachments(pod),
            hosts_file=directory / "hosts",
            termination_log=directory / "termination-log",
            log_file=self.log_file(pod),
            volumes={
                **{name: self._volume(pod, name) for name in names},
                **{name: self.claims[claim] for name, claim in pod.claims},
            },
            nologin_entry=self.nologin_entry,
            image=self.images[pod.container.image],
            extra=(*self.extra, *self._rates(pod)),
        )

    def _directory(self, pod: Pod) -> Path:
        return self.state.volumes / pod.name

    def _volume(self, pod: Pod, name: str) -> Path:
        return self._directory(pod) / "volumes" / name

    def _owner(self, pod: Pod) -> Ownership:
        return Ownership(pod.security.fs_group, privileged=os.geteuid() == 0)


def _refused(pod: Pod, done: Finished) -> Exception:
    message = f"pod {pod.name} could not start: {done.complaint}"
    # A hook that fails has one of these codes, too.
    if done.exit_code in _NOT_FOUND and " hook " not in done.complaint:
        program = " ".join((*pod.command, *pod.container.args)) or "the image's own"
        return ProgramNotFoundError(f"{message} (program: {program})")
    return PodmanError(message)
