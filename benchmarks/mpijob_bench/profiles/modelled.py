"""Model the shipped profiles anew, from operations and bytes: no GPU needed.

python -m mpijob_bench.profiles.modelled
"""

import argparse
import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from mpijob_bench.models import Network, create
from mpijob_bench.profiles.costs import CostMode
from mpijob_bench.profiles.devices import DEVICES, Device
from mpijob_bench.profiles.profile import Gradient, Profile, format_profile

GRADIENT_BYTES = 4  # parameters, and so gradients, stay fp32 under autocast

# Tensors of a parameter's size that a fused step reads or writes, all fp32: the parameter and each
# moment twice, the gradient once.
OPTIMIZER_PASSES = {"SGD with momentum": 5, "AdamW": 7}


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is modelled.

    Attributes:
        model: The network's name.
        device: A key of `DEVICES`.
        precision: A precision that the device has.
        batch_size: Samples of one step.
        optimizer: A key of `OPTIMIZER_PASSES`.
        size: What differs from the network's published size.
    """

    model: str
    device: str
    precision: str
    batch_size: int
    optimizer: str
    size: dict[str, Any] = dataclasses.field(default_factory=dict)


SHIPPED = (
    Setting("resnet50", "a100-80gb", "bf16", 256, "SGD with momentum"),
    Setting("vgg16", "a100-80gb", "bf16", 128, "SGD with momentum"),
    Setting("bert-large", "a100-80gb", "bf16", 64, "AdamW"),
    Setting("gpt2", "a100-80gb", "bf16", 12, "AdamW"),
)


def modelled_profile(setting: Setting) -> Profile:
    """Return the profile that the roofline gives for a setting."""
    device = DEVICES[setting.device]
    costs = CostMode(lambda flops, moved: device.seconds(flops, moved, setting.precision))
    ready: list[tuple[str, int, float]] = []
    with FakeTensorMode(), costs:
        network = create(setting.model, **setting.size)
        inputs, targets = network.example(setting.batch_size)
        for name, parameter in network.named_parameters():
            parameter.register_post_accumulate_grad_hook(
                lambda tensor, name=name: ready.append((name, tensor.numel(), costs.seconds))
            )
        costs.seconds = costs.flops = costs.moved_bytes = 0.0
        with casting(setting.precision):
            loss = network.loss(network(inputs), targets)
        forward = costs.seconds
        loss.backward()
    return Profile(
        model=setting.model,
        size=setting.size,
        fidelity="modelled",
        device=device.title,
        precision=setting.precision,
        batch_size=setting.batch_size,
        forward_seconds=forward,
        backward_seconds=costs.seconds - forward,
        optimizer=setting.optimizer,
        optimizer_seconds=optimizer_seconds(network, device, setting),
        gradients=tuple(
            Gradient(name, elements, elements * GRADIENT_BYTES, seconds - forward)
            for name, elements, seconds in ready
        ),
        made_by=made_by(device, setting.precision, costs),
    )


@contextmanager
def casting(precision: str) -> Iterator[None]:
    """Autocast to 16 bits where the precision has them; fp16 moves as many bytes as bf16."""
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision in {"fp16", "bf16"}):
        yield


def optimizer_seconds(network: Network, device: Device, setting: Setting) -> float:
    """Return the time of a fused optimizer step: it moves bytes only."""
    passes = OPTIMIZER_PASSES[setting.optimizer]
    moved = passes * GRADIENT_BYTES * network.parameter_count()
    return device.seconds(0.0, moved, setting.precision)


def made_by(device: Device, precision: str, costs: CostMode) -> dict[str, Any]:
    """Return the facts that tell how the times were made."""
    return {
        "method": "roofline over each operation of torch's own forward and backward pass",
        "peak_flops_per_second": device.peak_flops[precision],
        "peak_bytes_per_second": device.peak_bytes,
        "sustained": device.sustained[precision],
        "flops": costs.flops,
        "bytes": costs.moved_bytes,
    }


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = os.path.join(os.path.dirname(__file__), "data")
    parser.add_argument("--output", default=data, help="folder of the files (%(default)s)")
    arguments = parser.parse_args()
    if not os.path.isdir(arguments.output):
        parser.error(f"--output {arguments.output}: there is no such folder; make it first")
    for setting in SHIPPED:
        profile = modelled_profile(setting)
        path = os.path.join(arguments.output, f"{setting.model}.json")
        with open(path, "w", encoding="utf-8") as file:
            file.write(format_profile(profile))
        print(path, f"{profile.step_seconds * 1e3:.1f} ms a step")


if __name__ == "__main__":
    main()
