"""The devices that times are modelled for. Pure data; peaks are the vendor's data sheets'."""

from collections.abc import Mapping
from dataclasses import dataclass

SHORTEST_KERNEL_SECONDS = 4e-6
"""What the smallest kernel takes with the gap to the next one: an assumption, no source."""


@dataclass(frozen=True)
class Device:
    """A GPU as a roofline (Williams et al., doi 10.1145/1498765.1498785).

    Attributes:
        title: Its name in words.
        peak_flops: Floating-point operations per second of matrix products, by precision.
        peak_bytes: Bytes per second of its memory.
        sustained: The share of both peaks that training reaches, by precision; such that the
            anchor that calibrates (see `anchors`) comes out right.
    """

    title: str
    peak_flops: Mapping[str, float]
    peak_bytes: float
    sustained: Mapping[str, float]

    def seconds(self, flops: float, moved_bytes: float, precision: str) -> float:
        """Return how long a kernel takes: the slower of computing and moving bytes."""
        roof = max(flops / self.peak_flops[precision], moved_bytes / self.peak_bytes)
        return max(roof / self.sustained[precision], SHORTEST_KERNEL_SECONDS)


A100_FLOPS = {"tf32": 156e12, "bf16": 312e12}
A100_SUSTAINED = {"tf32": 0.432, "bf16": 0.577}

DEVICES: Mapping[str, Device] = {
    "v100": Device(
        title="NVIDIA V100 SXM2 16 GB",
        peak_flops={"fp32": 15.7e12, "fp16": 125e12},
        peak_bytes=900e9,
        sustained={"fp32": 0.8, "fp16": 0.65},
    ),
    "a100-40gb": Device("NVIDIA A100 SXM4 40 GB", A100_FLOPS, 1555e9, A100_SUSTAINED),
    "a100-80gb": Device("NVIDIA A100 SXM4 80 GB", A100_FLOPS, 2039e9, A100_SUSTAINED),
}
