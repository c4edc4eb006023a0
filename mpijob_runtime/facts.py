"""Facts: frozen records of what the probes saw.

Absence is a fact (``None``, an empty tuple), never an error.

Layer: pure data; imports nothing of ours.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MpiFacts:
    """The MPI that would start the ranks.

    Attributes:
        name: ``Open MPI``.
        version: as ``mpirun --version`` prints it, for example ``4.1.4``.
        mpirun: absolute path of the real mpirun, never of our shim.
    """

    name: str
    version: str
    mpirun: str

    @property
    def major(self) -> int:
        """The first number of the version."""
        return int(self.version.split(".", 1)[0])


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """A private key for ssh that lies in this container.

    Attributes:
        path: where it is.
        directory: the directory that was looked into.
        owner: its numeric owner, or None if it cannot be seen.
        mode: its permission bits, or None if they cannot be seen.
        readable: whether this process can read it.
    """

    path: str
    directory: str
    owner: int | None
    mode: int | None
    readable: bool


@dataclass(frozen=True, slots=True)
class UserFacts:
    """Who this process is, by number and in the user database.

    Attributes:
        uid: effective user id.
        gid: effective group id.
        name: login name, or None if no entry exists for the uid.
        home: home directory of the entry, or None.
        shell: login shell of the entry, or None.
    """

    uid: int
    gid: int
    name: str | None
    home: str | None
    shell: str | None

    @property
    def can_log_in(self) -> bool:
        """Whether sshd would start a shell for this user."""
        refused = ("/nologin", "/false")
        return self.name is not None and not (self.shell or "/bin/sh").endswith(refused)


@dataclass(frozen=True, slots=True)
class SystemFacts:
    """This container: names, processors, memory, privileges.

    Attributes:
        hostname: what gethostname() says: the pod's name.
        cpus: processors that the cgroup and the affinity mask leave, at least 1.
        memory_limit_bytes: the cgroup's memory limit, or None.
        capabilities: names of effective capabilities that sshd cares for.
        no_new_privileges: whether setuid programs have lost their power.
        ptrace_scope: Yama's setting; 0 lets ranks of one user read each other's memory.
        rdma_devices: names under /sys/class/infiniband.
        writable_tmp: whether TMPDIR, else /tmp, can be written and has a megabyte of room.
    """

    hostname: str
    cpus: int
    memory_limit_bytes: int | None
    capabilities: frozenset[str]
    no_new_privileges: bool
    ptrace_scope: int
    rdma_devices: tuple[str, ...]
    writable_tmp: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the probes of one container saw.

    Attributes:
        system: names, processors, privileges.
        user: who we are.
        key: the job's ssh key, or None.
        mpi: the MPI found, or None.
        rank_wrapper: path of the executable around each rank, or None if it is not installed.
        rsh: path of what mpirun calls in place of ssh, or None if it is not installed.
    """

    system: SystemFacts
    user: UserFacts
    key: KeyFacts | None
    mpi: MpiFacts | None
    rank_wrapper: str | None
    rsh: str | None
