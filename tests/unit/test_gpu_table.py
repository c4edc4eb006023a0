import pytest
from nvml import hand_made
from nvml.fake_nvml import FakeNvml

from mpijob_runtime.facts import GpuFacts, GpuHostFacts, GpuLink, NicFacts
from mpijob_runtime.gpu_table import format_gpu_host
from mpijob_runtime.probes.gpu import probe_gpus
from mpijob_runtime.probes.pci import PciTree

HEALTHY = (
    "GPU 0: NVIDIA H100 80GB HBM3, 80.0 GiB, GPU-00000000-0000-0000-0000-000000000000,"
    " 0000:1b:00.0, near processors 0-31"
)
TROUBLED = (
    "prohibited, uncorrected memory errors: 2 now, 9 ever, the driver asks: reset the GPU,"
    " throttled: sw_thermal_slowdown, throttled: hw_thermal_slowdown\n"
    "not read: nvmlDeviceGetPersistenceMode of GPU 0: Insufficient Permissions"
)


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (hand_made.without_driver, "no NVIDIA driver"),
        (lambda: hand_made.host(0), "NVIDIA driver 580.95.05, up to CUDA 13.0\nno GPU"),
        (lambda: hand_made.host(1), HEALTHY),
        (hand_made.with_troubles, TROUBLED),
        (
            hand_made.with_lost_gpus,
            "\nGPU 3: fell off the bus (GPU is lost); NVIDIA H100 80GB HBM3\n",
        ),
        (hand_made.with_mig, "MIG mode\n  MIG 3g.40gb, 40.0 GiB, MIG-00000000"),
        (hand_made.with_replaced_driver, "not read: nvmlInit: "),
    ],
)
def test_what_people_read(make, shown, tmp_path):
    """A line for each GPU, and all that is wrong; a lost one with what it told before."""
    assert shown in format_gpu_host(probe_gpus(FakeNvml(make()), PciTree(str(tmp_path))))


def test_links_are_a_table_as_of_nvidia_smi():
    """GPUs, then devices of the network; what is unknown is a dash."""
    host = GpuHostFacts(
        gpus=(GpuFacts(0), GpuFacts(1), GpuFacts(2, fault="lost")),
        links=(GpuLink(0, 1, "NV18", 4),),
        nics=(NicFacts("mlx5_0", True, "0000:01:00.0", 0, ("PIX", "SYS", "")),),  # noqa: FBT003
    )
    expected = """\
       GPU0   GPU1   GPU2
GPU0   X      NV18   -
GPU1   NV18   X      -
GPU2   -      -      X
mlx5_0 PIX    SYS    -"""
    assert format_gpu_host(host).endswith(expected)
