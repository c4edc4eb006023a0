"""What one GPU tells of itself.

Layer: probe; imports facts and pci.
"""

from mpijob_runtime.facts import GpuFacts, MigInstance
from mpijob_runtime.probes.gpu.nvml import Handle, Nvml
from mpijob_runtime.probes.pci import PciTree

_COMPUTE_MODES = ("default", "exclusive_thread", "prohibited", "exclusive_process")
_THROTTLES = (  # bits of nvmlClocksEventReasons; the first, idle, is no reason to worry
    (0x002, "applications_clocks_setting"),
    (0x004, "sw_power_cap"),
    (0x008, "hw_slowdown"),
    (0x010, "sync_boost"),
    (0x020, "sw_thermal_slowdown"),
    (0x040, "hw_thermal_slowdown"),
    (0x080, "hw_power_brake_slowdown"),
    (0x100, "display_clock_setting"),
    (0x200, "board_limit"),
    (0x400, "reliability"),
)
_RECOVERIES = (  # NVML_GPU_RECOVERY_ACTION_...; the first is: none
    *(None, "reset the GPU", "reboot the node", "drain peer-to-peer", "drain and reset the GPU"),
    *("recover the IMEX domain", "reset the bus", "reboot the system"),
)
_UNCORRECTED, _VOLATILE, _AGGREGATE = 1, 0, 1
_ON = 1
_CPU_WORDS, _WORD_BITS = 128, 64  # 8192 processors, as many as Linux can have


def read_device(asked: Nvml, tree: PciTree, index: int, handle: Handle) -> GpuFacts:
    """Return all that a GPU tells; asking ends when it turns out to be lost.

    Args:
        asked: the conversation.
        tree: the PCI bus, for what NVML does not know or not tell.
        index: NVML's number.
        handle: the GPU.
    """
    name = asked.text("nvmlDeviceGetName", handle)  # before anything can show that it is lost
    uuid = asked.text("nvmlDeviceGetUUID", handle)
    address = _address(asked, handle)
    mig = asked.ask("nvmlDeviceGetMigMode", handle)
    mode = asked.number("nvmlDeviceGetComputeMode", handle)
    persistence = asked.number("nvmlDeviceGetPersistenceMode", handle)
    volatile, aggregate = (
        asked.number("nvmlDeviceGetTotalEccErrors", handle, _UNCORRECTED, counter)
        for counter in (_VOLATILE, _AGGREGATE)
    )
    return GpuFacts(
        index=index,
        name=name,
        uuid=uuid,
        pci_bus_id=address,
        memory_bytes=_memory(asked, handle),
        numa_node=tree.numa_node(address) if address else None,
        cpus=_cpus(asked, handle) or (tree.near_cpus(address) if address else ()),
        mig_enabled=None if mig is None else mig[0] == _ON,
        mig_instances=_instances(asked, handle) if mig and mig[0] == _ON else (),
        ecc_volatile_uncorrected=volatile,
        ecc_aggregate_uncorrected=aggregate,
        recovery_action=_recovery(asked, handle),
        throttle_reasons=_throttles(asked, handle),
        compute_mode=_name(_COMPUTE_MODES, mode),
        persistence=None if persistence is None else persistence == _ON,
        fault=handle.fault,  # the last: any question above may have shown it
    )


def format_address(domain: int, bus: int, device: int) -> str:
    """Return a PCI address as /sys has it; NVML's own text has more zeros, and capitals."""
    return f"{domain:04x}:{bus:02x}:{device:02x}.0"


def _address(asked: Nvml, handle: Handle) -> str | None:
    found = asked.ask("nvmlDeviceGetPciInfo", handle)
    return None if found is None else format_address(found.domain, found.bus, found.device)


def _memory(asked: Nvml, handle: Handle) -> int | None:
    found = asked.ask("nvmlDeviceGetMemoryInfo", handle)
    return None if found is None else int(found.total)


def _cpus(asked: Nvml, handle: Handle) -> tuple[int, ...]:
    words = asked.ask("nvmlDeviceGetCpuAffinity", handle, _CPU_WORDS)
    return tuple(
        n * _WORD_BITS + bit
        for n, word in enumerate(words or ())
        for bit in range(_WORD_BITS)
        if word >> bit & 1
    )


def _recovery(asked: Nvml, handle: Handle) -> str | None:
    field = asked.constant("NVML_FI_DEV_GET_GPU_RECOVERY_ACTION")
    if field is None:
        return None
    values = asked.ask("nvmlDeviceGetFieldValues", handle, [field])
    if values is None or values[0].nvmlReturn != 0:
        return None
    return _name(_RECOVERIES, int(values[0].value.uiVal))


def _throttles(asked: Nvml, handle: Handle) -> tuple[str, ...]:
    bits = asked.number("nvmlDeviceGetCurrentClocksEventReasons", handle)
    if bits is None:  # its name before driver 535
        bits = asked.number("nvmlDeviceGetCurrentClocksThrottleReasons", handle)
    return tuple(name for bit, name in _THROTTLES if (bits or 0) & bit)


def _instances(asked: Nvml, handle: Handle) -> tuple[MigInstance, ...]:
    found = []
    for number in range(asked.number("nvmlDeviceGetMaxMigDeviceCount", handle) or 0):
        raw = asked.ask("nvmlDeviceGetMigDeviceHandleByIndex", handle, number)
        if raw is None:  # a place for an instance that nobody has made
            continue
        part = Handle(f"{handle.label}, MIG {number}", raw)
        uuid = asked.text("nvmlDeviceGetUUID", part)
        name = asked.text("nvmlDeviceGetName", part) or ""
        if uuid is not None:
            found.append(MigInstance(uuid, name.partition("MIG ")[2], _memory(asked, part)))
    return tuple(found)


def _name(names: tuple[str | None, ...], number: int | None) -> str | None:
    if number is None:
        return None
    return names[number] if number < len(names) else f"unknown ({number})"
