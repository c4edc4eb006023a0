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
        writable_tmp: whether TMPDIR, else /tmp, can be written and has a megabyte of room.
    """

    hostname: str
    cpus: int
    memory_limit_bytes: int | None
    capabilities: frozenset[str]
    no_new_privileges: bool
    ptrace_scope: int
    writable_tmp: bool


@dataclass(frozen=True, slots=True)
class InterfaceFacts:
    """A network interface that is up and has addresses that other hosts can use.

    Attributes:
        name: ``eth0``.
        mtu: in bytes.
        speed_mbit: in Mbit/s, as its driver says it, or None.
        addresses: as ``10.0.0.2/24``, those of IPv4 first.
    """

    name: str
    mtu: int
    speed_mbit: int | None
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RdmaFacts:
    """An RDMA device.

    Attributes:
        name: under /sys/class/infiniband.
        kind: ``infiniband``, ``roce``, ``efa`` or ``other``.
        state: of its first port, in the kernel's word: ``ACTIVE``.
        rate: of its first port, in the kernel's words: ``400 Gb/sec (4X NDR)``.
        usable: whether this container may open it.
    """

    name: str
    kind: str
    state: str
    rate: str
    usable: bool


@dataclass(frozen=True, slots=True)
class LimitFacts:
    """A limit of a process, as ``ulimit`` sets it.

    Attributes:
        name: as limits.conf(5) has it: ``nofile``.
        most: a number, or bytes; None for no limit.
    """

    name: str
    most: int | None


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What a host's agent saw of its container and machine.

    Attributes:
        cpus: processors that the cgroup and the affinity mask leave, at least 1.
        cpu_nodes: processors of the affinity mask by NUMA node, of nodes that have any; empty on
            a machine with one.
        interfaces: that are up and have addresses.
        rdma: devices, usable or not.
        memlock_bytes: how much memory may be locked, or None for any.
        shm_bytes: size of /dev/shm.
        shm_free_bytes: how much of it is free, or None if that is not known.
        gpu_driver: whether there is a driver of NVIDIA's.
        limits: of resources of a process.
        umask: the file mode creation mask, or None if it is not known.
        missing_directory: the launcher's working directory if it is not there, else empty.
        home: where Open MPI starts ranks then.
    """

    cpus: int = 1
    interfaces: tuple[InterfaceFacts, ...] = ()
    rdma: tuple[RdmaFacts, ...] = ()
    memlock_bytes: int | None = None
    shm_bytes: int = 0
    shm_free_bytes: int | None = None
    gpu_driver: bool = False
    limits: tuple[LimitFacts, ...] = ()
    umask: int | None = None
    missing_directory: str = ""
    home: str = ""
    cpu_nodes: tuple[tuple[int, ...], ...] = ()

    @property
    def usable_rdma(self) -> tuple[RdmaFacts, ...]:
        """The RDMA devices that this container may open."""
        return tuple(device for device in self.rdma if device.usable)


@dataclass(frozen=True, slots=True)
class RankFacts:
    """What decides a rank's variables.

    Attributes:
        interface: the data network's on its host, or None if none was found to work.
        family: of that network's addresses: 4 or 6.
        rdma_seen: whether any host of the job has an RDMA device.
        rdma_usable: whether any may open one.
        rdma_everywhere: whether all may open one.
        crowded: whether its host has more ranks than processors.
        threads: the rank's share of its container's processors, at least 1.
        gpus: how many GPUs that work its host has.
    """

    interface: str | None
    family: int
    rdma_seen: bool
    rdma_usable: bool
    threads: int
    gpus: int = 0
    rdma_everywhere: bool = False
    crowded: bool = False


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
        host: what this container's agent would say.
        control_interface: of several interfaces the one that has the address of this host's own
            name, or None.
        directory: this process's working directory, as mpirun takes it; empty if it has none.
    """

    system: SystemFacts
    user: UserFacts
    key: KeyFacts | None
    mpi: MpiFacts | None
    rank_wrapper: str | None
    rsh: str | None
    host: HostFacts = HostFacts()
    control_interface: str | None = None
    directory: str = ""


@dataclass(frozen=True, slots=True)
class MigInstance:
    """A part of a GPU in MIG mode, which programs see as a GPU.

    Attributes:
        uuid: ``MIG-…``, as CUDA_VISIBLE_DEVICES takes it.
        profile: its size, for example ``3g.40gb``.
        memory_bytes: its memory, or None.
    """

    uuid: str
    profile: str = ""
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """A GPU as NVML tells it; None stands for what it did not tell.

    Attributes:
        index: NVML's number, in the order of the PCI bus. CUDA has the same numbers only with
            CUDA_DEVICE_ORDER=PCI_BUS_ID.
        fault: why it cannot be used, or None: it fell off the bus, or wants a reset.
        name: for example ``NVIDIA H100 80GB HBM3``.
        uuid: ``GPU-…``, the same for everybody, on every order.
        pci_bus_id: as /sys has it, ``0000:1b:00.0``.
        memory_bytes: all its memory.
        numa_node: the NUMA node of its PCI slot.
        cpus: processors that are near it, whether this container may use them or not.
        mig_enabled: whether it is in MIG mode.
        mig_instances: the parts that this container sees.
        ecc_volatile_uncorrected: errors in memory since the driver was loaded.
        ecc_aggregate_uncorrected: errors in memory in its whole life.
        recovery_action: what the driver asks for after an error, or None: nothing, or unknown.
            It is what remains of an Xid: NVML tells those only while they happen, and the
            kernel's log is not for containers.
        throttle_reasons: why its clocks are low now; being idle is no reason.
        compute_mode: ``default``, ``exclusive_process`` or ``prohibited``.
        persistence: whether the driver stays loaded without users.
    """

    index: int
    fault: str | None = None
    name: str | None = None
    uuid: str | None = None
    pci_bus_id: str | None = None
    memory_bytes: int | None = None
    numa_node: int | None = None
    cpus: tuple[int, ...] = ()
    mig_enabled: bool | None = None
    mig_instances: tuple[MigInstance, ...] = ()
    ecc_volatile_uncorrected: int | None = None
    ecc_aggregate_uncorrected: int | None = None
    recovery_action: str | None = None
    throttle_reasons: tuple[str, ...] = ()
    compute_mode: str | None = None
    persistence: bool | None = None


@dataclass(frozen=True, slots=True)
class GpuLink:
    """How two GPUs of a host reach each other.

    Attributes:
        first: index of the one.
        second: index of the other; always the greater.
        level: as ``nvidia-smi topo -m`` names it: ``NV18`` for 18 NVLinks, else the worst part of
            the way over PCIe: PIX, PXB, PHB, NODE, SYS.
        nvlink_generation: 4 on an H100; None without NVLink, or if it is unknown.
    """

    first: int
    second: int
    level: str
    nvlink_generation: int | None = None


@dataclass(frozen=True, slots=True)
class NicFacts:
    """A network or RDMA device on the PCI bus, and how far each GPU is.

    Attributes:
        name: ``mlx5_0`` for an RDMA device, ``eth0`` for a network interface.
        rdma: whether it is under /sys/class/infiniband.
        pci_bus_id: as /sys has it.
        numa_node: of its PCI slot, or None.
        levels: PIX, PXB, PHB, NODE or SYS for each GPU, in the order of ``GpuHostFacts.gpus``;
            an empty text where it is unknown.
    """

    name: str
    rdma: bool
    pci_bus_id: str
    numa_node: int | None = None
    levels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GpuHostFacts:
    """The GPUs of a host; a host without a driver has none.

    Attributes:
        driver_version: for example ``580.95.05``, or None.
        cuda_version: the newest CUDA that the driver can do, ``13.0``, or None.
        gpus: all that this container sees; CUDA_VISIBLE_DEVICES does not change that.
        links: one for each pair of GPUs of which anything is known.
        nics: devices on the PCI bus that this container sees.
        allowed_cpus: processors of this container's cpuset.
        errors: what could not be read, and why, a sentence each.
    """

    driver_version: str | None = None
    cuda_version: str | None = None
    gpus: tuple[GpuFacts, ...] = ()
    links: tuple[GpuLink, ...] = ()
    nics: tuple[NicFacts, ...] = ()
    allowed_cpus: tuple[int, ...] = ()
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NcclFacts:
    """The NCCL that a Python program of this container would load.

    Attributes:
        path: the library's file, links followed.
        version: what its ncclGetVersion says, ``2.29.7``, or None if it cannot be asked.
        found_by: ``LD_PRELOAD``, ``Python package`` or ``dynamic linker``.
        problem: why it cannot be asked, or None.
    """

    path: str
    version: str | None
    found_by: str
    problem: str | None = None
