"""Measure what it costs a step that ranks agree on their end; run it on several ranks.

Blocks of steps in turns: without; with an all-reduce that each step waits for; with Preemption,
which reads it one step later; with Preemption(every=10). A step is an all-reduce of gradients and
a pause in which the processor is free, as while a GPU works. The differences are those of
neighbouring blocks:

    mpijob-runtime launch --host localhost:4 -- python benchmarks/training/agreement.py
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable

import torch
import torch.distributed as dist

from mpijob_runtime.training import Preemption, init_process_group, world
from mpijob_runtime.training.agreement import GlooGroup

Ask = Callable[[int], object]


def main() -> None:
    """Measure on all ranks and print rank 0's table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40, help="blocks of each kind")
    parser.add_argument("--steps", type=int, default=20, help="steps of a block")
    parser.add_argument("--pause-ms", type=float, default=5.0)
    parser.add_argument("--gradient-bytes", type=int, default=1 << 20)
    arguments = parser.parse_args()
    with init_process_group():
        waited = GlooGroup()
        with Preemption() as hidden, Preemption(every=10) as rare:
            ways: dict[str, Ask] = {
                "waited for at each step": lambda step: waited.start((0, step, -step, 1, -1))(),
                "Preemption()": hidden.agreed,
                "Preemption(every=10)": rare.agreed,
            }
            costs = measure(ways, arguments)
        waited.close()
    if world().rank == 0:
        size = world().size
        print(f"ms a step: median (quartiles), n = {arguments.rounds} on {size} ranks")
        for name, found in costs.items():
            low, middle, high = statistics.quantiles(found, n=4)
            print(f"{name}: {middle:.3f} ({low:.3f} to {high:.3f})")


def measure(ways: dict[str, Ask], arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Return, for a step without and for each way's difference to it, milliseconds."""
    gradients = torch.zeros(arguments.gradient_bytes // 4)
    order = random.Random(1)  # the same on all ranks
    costs: dict[str, list[float]] = {"a step without": [], **{name: [] for name in ways}}
    for _ in range(arguments.rounds):
        names = [*ways]
        order.shuffle(names)
        for name in names:
            without = block_ms(lambda _: None, gradients, arguments)
            costs["a step without"].append(without)
            costs[name].append(block_ms(ways[name], gradients, arguments) - without)
    return costs


def block_ms(ask: Ask, gradients: torch.Tensor, arguments: argparse.Namespace) -> float:
    """Return how long a step of a block takes."""
    dist.barrier()
    began = time.perf_counter()
    for step in range(arguments.steps):
        time.sleep(arguments.pause_ms / 1000)
        dist.all_reduce(gradients)
        ask(step)
    return (time.perf_counter() - began) * 1000 / arguments.steps


if __name__ == "__main__":
    main()
