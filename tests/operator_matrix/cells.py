"""The cells of the matrix, and what each must end in.

What is expected follows from file modes alone: what the operator gives the key, what fsGroup adds
to it, and who the container's user is. Nothing here is copied from a run.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jobs import Job

ROOT_PATH = "/root/.ssh"
HOME_PATH = "/home/mpiuser/.ssh"
FS_GROUP = 2000
WORKERS = 2
CONFIGURATION = 78

_READ_BY_GROUP, _READ_BY_OTHERS = 0o040, 0o004
_ADDED_BY_FS_GROUP = 0o440  # kubernetes pkg/volume/volume_linux.go, read-only volumes


@dataclass(frozen=True)
class User:
    """Who a container runs as.

    Attributes:
        label: as the table has it.
        gid: its primary group; not root's, where the pod says one.
        restricted: no capabilities and no new privileges, as OpenShift's restricted-v2 has it.
    """

    label: str
    uid: int
    gid: int
    restricted: bool = False

    @property
    def pod_security(self) -> dict[str, Any]:
        """Its part of the pod's security context."""
        return {"runAsUser": self.uid, "runAsGroup": self.gid}

    @property
    def container_security(self) -> Mapping[str, Any]:
        """The container's security context."""
        if not self.restricted:
            return {}
        return {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }


USERS = (
    User("root", 0, 0),
    User("1000:1000", 1000, 1000),
    User("random:0, restricted", 1000680000, 0, restricted=True),
)


def operators_key_mode(operator: str, ssh_path: str) -> int:
    """Return the mode that an operator gives the key, which root owns."""
    if operator == "trainer":
        return 0o640  # trainer pkg/constants/constants.go 150-157
    return 0o600 if ssh_path == ROOT_PATH else 0o644  # mpi_job_controller.go 1793-1816


@dataclass(frozen=True)
class Cell:
    """One way to run the job."""

    operator: str
    open_mpi: str
    user: User
    ssh_path: str
    fs_group: int | None

    @property
    def id(self) -> str:
        """A name for tests and messages."""
        group = "fsgroup" if self.fs_group else "nogroup"
        user = self.user.label.split(":", 1)[0]
        mount = self.ssh_path.split("/")[1]
        return f"{self.operator}-{self.open_mpi}-{user}-{mount}-{group}"

    @property
    def key_mode(self) -> int:
        """The key's mode as the container sees it."""
        mode = operators_key_mode(self.operator, self.ssh_path)
        return mode | (_ADDED_BY_FS_GROUP if self.fs_group else 0)

    @property
    def readable(self) -> bool:
        """Whether the container's user can read the key, by the rules of a POSIX file system."""
        if self.user.uid == 0:
            return True
        groups = {self.user.gid} | ({self.fs_group} if self.fs_group else set())
        owning_group = self.fs_group or 0
        if owning_group in groups:
            return bool(self.key_mode & _READ_BY_GROUP)
        return bool(self.key_mode & _READ_BY_OTHERS)

    @property
    def expected_code(self) -> int:
        """The exit code that is right: a key that can be read is enough."""
        return 0 if self.readable else CONFIGURATION

    def job(self, name: str, image: str) -> Job:
        """Return the job: ``pi`` on two workers, whose sshd the kubelet probes."""
        security = self.user.pod_security
        return Job(
            name,
            image,
            ("mpirun", "-n", str(WORKERS), "/home/mpiuser/pi"),
            workers=WORKERS,
            ssh_path=self.ssh_path,
            pod_security=security | ({"fsGroup": self.fs_group} if self.fs_group else {}),
            container_security=self.user.container_security,
            probed_port=2222,
        )

    def worker_host(self, name: str, index: int) -> str:
        """Return a worker's host name."""
        middle = "node-0" if self.operator == "trainer" else "worker"
        return f"{name}-{middle}-{index}"


def cells(open_mpis: tuple[str, ...] = ("4.1", "5.0")) -> Iterator[Cell]:
    """Yield every cell, in the order of the table."""
    axes = (
        ("mpi-operator", "trainer"),
        USERS,
        (ROOT_PATH, HOME_PATH),
        (None, FS_GROUP),
        open_mpis,
    )
    for operator, user, ssh_path, fs_group, open_mpi in itertools.product(*axes):
        yield Cell(operator, open_mpi, user, ssh_path, fs_group)


@dataclass(frozen=True)
class Verdict:
    """What came of a cell.

    Attributes:
        wrong: what is not as it must be; empty for a good cell.
        remedy: the ``next:`` line that was printed, if any.
    """

    cell: Cell
    exit_code: int
    wrong: str = ""
    remedy: str = ""
    seconds: float = 0.0


def judge(cell: Cell, name: str, exit_code: int, text: str, seconds: float = 0.0) -> Verdict:
    """Hold the end of a job against what its cell must end in.

    A success needs a rank on each worker and the result; an end with 78 needs its remedy.
    """
    remedy = next((w.split("next: ", 1)[1] for w in text.splitlines() if "next: " in w), "")
    wrong = ""
    if exit_code != cell.expected_code:
        wrong = f"exit code {exit_code}, wanted {cell.expected_code}"
    elif exit_code == 0:
        wanted = [f"rank {i} of {WORKERS} on {cell.worker_host(name, i)}" for i in range(WORKERS)]
        lacking = [words for words in (*wanted, "pi is approximately 3.14") if words not in text]
        wrong = f"not printed: {lacking[0]}" if lacking else ""
    elif "fsGroup" not in remedy:
        wrong = "78 without the remedy"
    return Verdict(cell, exit_code, wrong, remedy, seconds)
