"""The GPUs of this host, by NVML; every oddity of nvidia-ml-py ends in this folder.

NVML knows no CUDA_VISIBLE_DEVICES: it tells all GPUs that the container has device files for.
nvmlInit can take seconds and a broken driver can hang or crash, so nobody calls this in a process
that must go on: see probes/gpu_child.py.

Layer: probe; the only importer of pynvml; imports facts and pci.
"""

import os
from types import ModuleType

import pynvml

from mpijob_runtime.facts import GpuHostFacts
from mpijob_runtime.probes.gpu.device import read_device
from mpijob_runtime.probes.gpu.links import find_links
from mpijob_runtime.probes.gpu.nvml import Nvml
from mpijob_runtime.probes.pci import PciTree


def probe_gpus(nvml: ModuleType = pynvml, pci: PciTree | None = None) -> GpuHostFacts:
    """Ask NVML for everything, once.

    Args:
        nvml: pynvml, or a fake that answers as a recorded or an imagined host.
        pci: the PCI bus; this machine's if None.

    Returns:
        The facts. Without a driver there are no GPUs and no error; all that a driver refuses to
        tell is in ``errors``.
    """
    asked = Nvml(nvml)
    tree = pci or PciTree()
    allowed = tuple(sorted(os.sched_getaffinity(0)))
    if not asked.start():
        return GpuHostFacts(allowed_cpus=allowed, errors=asked.errors)
    try:
        return _probe_host(asked, tree, allowed)
    finally:
        asked.stop()


def _probe_host(asked: Nvml, tree: PciTree, allowed: tuple[int, ...]) -> GpuHostFacts:
    handles = [asked.open(index) for index in range(asked.number("nvmlDeviceGetCount") or 0)]
    gpus = tuple(read_device(asked, tree, n, handle) for n, handle in enumerate(handles))
    cuda = asked.number("nvmlSystemGetCudaDriverVersion_v2")
    return GpuHostFacts(
        driver_version=asked.text("nvmlSystemGetDriverVersion"),
        cuda_version=f"{cuda // 1000}.{cuda % 1000 // 10}" if cuda else None,
        gpus=gpus,
        links=find_links(asked, tree, handles, gpus),
        nics=tree.find_nics([gpu.pci_bus_id for gpu in gpus]),
        allowed_cpus=allowed,
        errors=asked.errors,
    )
