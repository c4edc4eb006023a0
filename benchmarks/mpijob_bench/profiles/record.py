"""Record a gradient-ready profile on a real device.

python -m mpijob_bench.profiles.record resnet50 --device cuda --precision bf16 --batch-size 256 \
    --channels-last --output resnet50-h100.json
"""

import argparse
import ast
import contextlib
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from typing import Any

import torch

from mpijob_bench.models import MODELS, create
from mpijob_bench.profiles.clocks import Clock, CudaClock, ProcessClock
from mpijob_bench.profiles.profile import Profile, format_profile
from mpijob_bench.profiles.recorder import Recorder, Step, median_gradients, spread

CONVOLUTIONAL = ("resnet50", "vgg16")
LEARNING_RATE = 1e-4
FEWEST_STEPS = 2  # quartiles need two


def main(words: Sequence[str] | None = None) -> None:
    """Record, and write the file."""
    parser = argument_parser()
    arguments = parser.parse_args(words)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch finds no GPU; take --device cpu or a machine with one")
    if arguments.device == "cpu" and arguments.precision == "tf32":
        parser.error("--precision tf32: a CPU has fp32 and bf16 only")
    if arguments.channels_last and arguments.model not in CONVOLUTIONAL:
        parser.error(f"--channels-last: {arguments.model} has no images, wanted resnet50 or vgg16")
    if arguments.batch_size < 1 or arguments.steps < FEWEST_STEPS or arguments.warm_up < 0:
        parser.error("wanted --batch-size of 1 or more, --steps 2 or more, --warm-up 0 or more")
    if not os.path.isdir(folder := os.path.dirname(arguments.output) or "."):
        parser.error(f"--output {arguments.output}: there is no folder {folder}; make it first")
    try:
        profile = record(arguments)
    except ValueError as error:
        parser.error(str(error))
    except torch.OutOfMemoryError:
        parser.error(f"--batch-size {arguments.batch_size}: no memory for it; take a smaller one")
    with open(arguments.output, "w", encoding="utf-8") as file:
        file.write(format_profile(profile))
    total = profile.made_by["step_seconds"]
    print(
        f"{arguments.output}: {profile.model} on {profile.device},"
        f" {total['median'] * 1e3:.2f} ms a step, n = {arguments.steps}, quartiles"
        f" {total['low_quartile'] * 1e3:.2f} to {total['high_quartile'] * 1e3:.2f} ms,"
        f" of it marks {profile.made_by['cost_of_marks']:+.1%}"
    )


def argument_parser() -> argparse.ArgumentParser:
    """Return the options."""
    lines = (__doc__ or "").split("\n", 1)
    parser = argparse.ArgumentParser(
        description=lines[0],
        epilog=f"example:{lines[1]}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", choices=sorted(MODELS))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--precision", choices=("fp32", "tf32", "bf16"), default="bf16")
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--channels-last", action="store_true", help="NHWC, for convolutions")
    parser.add_argument("--warm-up", type=int, default=50, help="steps not counted (%(default)s)")
    parser.add_argument("--steps", type=int, default=200, help="steps counted (%(default)s)")
    parser.add_argument(
        "--set",
        dest="size",
        action="append",
        type=size_field,
        default=[],
        metavar="FIELD=VALUE",
        help="another size of the network, like layers=2; may be given again",
    )
    parser.add_argument("--output", required=True, metavar="FILE")
    return parser


def size_field(text: str) -> tuple[str, object]:
    """Return a field and its value, which is a Python literal."""
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        message = f"found {text!r}, wanted like layers=2 or blocks=(1,1,1,1)"
        raise argparse.ArgumentTypeError(message) from None


def record(arguments: argparse.Namespace) -> Profile:
    """Run the steps and return their medians.

    Every second step runs without marks, to tell what the marks cost.

    Raises:
        ValueError: The network cannot have this size.
        torch.OutOfMemoryError: The batch is too large for the device.
    """
    set_precision(arguments.precision)
    clock: Clock = CudaClock() if arguments.device == "cuda" else ProcessClock()
    size = dict(arguments.size)
    torch.manual_seed(0)
    with torch.device(arguments.device):
        network = create(arguments.model, **size)
        inputs, targets = network.example(arguments.batch_size)
    if arguments.channels_last:
        network = network.to(memory_format=torch.channels_last)
        inputs = inputs.to(memory_format=torch.channels_last)
    optimizer = optimizer_of(arguments.model, network, fused=arguments.device == "cuda")
    cast = torch.autocast(
        arguments.device, dtype=torch.bfloat16, enabled=arguments.precision == "bf16"
    )
    recorder = Recorder(network, optimizer, clock, cast)
    steps, bare = [], []
    for number in range(arguments.warm_up + arguments.steps):
        marked = recorder.step(inputs, targets, marks=True)
        unmarked = recorder.step(inputs, targets, marks=False)
        if number >= arguments.warm_up:
            steps.append(marked)
            bare.append(unmarked)
    return Profile(
        model=arguments.model,
        size=size,
        fidelity="measured",
        device=device_title(arguments.device),
        precision=arguments.precision,
        batch_size=arguments.batch_size,
        forward_seconds=statistics.median(step.forward for step in steps),
        backward_seconds=statistics.median(step.backward for step in steps),
        optimizer=type(optimizer).__name__,
        optimizer_seconds=statistics.median(step.optimizer for step in steps),
        gradients=median_gradients(network, steps),
        made_by=made_by(arguments, steps, bare),
    )


def set_precision(precision: str) -> None:
    """Say how fp32 products are computed on a GPU, and let cuDNN choose its algorithms."""
    product = "tf32" if precision == "tf32" else "ieee"
    torch.backends.cuda.matmul.fp32_precision = product
    torch.backends.cudnn.conv.fp32_precision = product
    torch.backends.cudnn.benchmark = True


def optimizer_of(model: str, network: torch.nn.Module, *, fused: bool) -> torch.optim.Optimizer:
    """Return what the network is usually trained with."""
    parameters = network.parameters()
    if model in CONVOLUTIONAL:
        return torch.optim.SGD(parameters, lr=LEARNING_RATE, momentum=0.9, fused=fused)
    return torch.optim.AdamW(parameters, lr=LEARNING_RATE, fused=fused)


def device_title(device: str) -> str:
    """Return the device in words."""
    if device == "cuda":
        return str(torch.cuda.get_device_name())
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def made_by(
    arguments: argparse.Namespace, steps: Sequence[Step], bare: Sequence[Step]
) -> dict[str, Any]:
    """Return how the profile was recorded, with the spread of the whole step."""
    marked = spread(step.total for step in steps)
    unmarked = spread(step.total for step in bare)
    return {
        "method": "medians of steps with a mark at each gradient, every second step without",
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "channels_last": arguments.channels_last,
        "warm_up": arguments.warm_up,
        "steps": arguments.steps,
        "step_seconds": marked,
        "step_seconds_without_marks": unmarked,
        "cost_of_marks": marked["median"] / unmarked["median"] - 1,
    }


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
        sys.exit(0)
    sys.exit(130)
