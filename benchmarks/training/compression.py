"""What 16-bit gradients cost in accuracy: the same trainings with and without compression.

Trains small networks on scikit-learn's digits with DistributedDataParallel over Gloo, from equal
weights with equal data in equal order, once with gradients as they are and once through torch's
fp16_compress_hook; scaled linearly with warm-up from the base rate that learning_rate.py tunes, and
from an eighth of it. Prints the accuracies, and the difference over seeds with Student's two-sided
95 % interval.

    mpijob-runtime launch --host localhost:8 -- python benchmarks/training/compression.py
"""

import argparse
import json
import statistics

import torch
import torch.distributed as dist
from learning_rate import BATCH, MOMENTUM, SAMPLES, Data, accuracy, load, make_network
from scipy import stats
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.nn.parallel import DistributedDataParallel

from mpijob_runtime.training import Warmup, World, init_process_group, scale_learning_rate

HOOKS = {"none": default_hooks.allreduce_hook, "fp16": default_hooks.fp16_compress_hook}
WARMUP_EPOCHS = 5


def train(
    data: Data, place: World, seeds: range, epochs: int, *, hook: str, rate: float
) -> tuple[list[float], torch.Tensor]:
    """Return each seed's test accuracy, and all weights; networks know nothing of each other."""
    networks = nn.ModuleList(make_network(seed) for seed in seeds)
    model = DistributedDataParallel(SideBySide(networks))
    model.register_comm_hook(dist.group.WORLD, HOOKS[hook])
    optimizer = torch.optim.SGD(networks.parameters(), lr=rate, momentum=MOMENTUM)
    warmup = WARMUP_EPOCHS * (SAMPLES // (BATCH * place.size))
    scale_learning_rate(rate, BATCH, BATCH, place.size, warmup_steps=warmup).apply(optimizer)
    schedule = Warmup(optimizer, warmup)
    shuffles = [torch.Generator().manual_seed(seed) for seed in seeds]
    x, y = data["train"]
    for _ in range(epochs):
        orders = [torch.randperm(SAMPLES, generator=shuffle) for shuffle in shuffles]
        for first in range(place.rank * BATCH, SAMPLES, place.size * BATCH):
            chosen = [order[first : first + BATCH] for order in orders]
            optimizer.zero_grad()
            model([(x[each], y[each]) for each in chosen]).backward()
            optimizer.step()
            schedule.step()
    scores = [accuracy(network, data["test"]) for network in networks]
    return scores, nn.utils.parameters_to_vector(networks.parameters()).detach()


class SideBySide(nn.Module):
    """Networks as one model: its loss is the sum of theirs."""

    def __init__(self, networks: nn.ModuleList) -> None:
        super().__init__()
        self.networks = networks

    def forward(self, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
        """Return the sum of all losses; each network has its batch."""
        losses = [
            nn.functional.cross_entropy(network(x), y)
            for network, (x, y) in zip(self.networks, batches, strict=True)
        ]
        return torch.stack(losses).sum()


def main() -> None:
    """Train all, and print a line of JSON for each rate on rank 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.02, 0.16])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    seeds = range(1, arguments.seeds + 1)
    with init_process_group() as group:
        data, place = load(), group.world
        for rate in arguments.rates:
            found = {
                hook: train(data, place, seeds, arguments.epochs, hook=hook, rate=rate)
                for hook in HOOKS
            }
            if place.rank == 0:
                print(json.dumps(summary(rate, found)), flush=True)


def summary(rate: float, found: dict[str, tuple[list[float], torch.Tensor]]) -> dict[str, object]:
    """Return mean accuracies, and the difference, all in percent or points; and that of weights."""
    scores = {name: values for name, (values, _) in found.items()}
    interval = stats.ttest_rel(scores["fp16"], scores["none"]).confidence_interval(0.95)
    mean = {name: 100 * statistics.mean(values) for name, values in scores.items()}
    return {
        "base_lr": rate,
        "seeds": len(scores["none"]),
        "largest_weight_difference": float((found["fp16"][1] - found["none"][1]).abs().max()),
        **{name: round(value, 2) for name, value in mean.items()},
        "difference": round(mean["fp16"] - mean["none"], 3),
        "bounds": [round(100 * float(bound), 3) for bound in interval],
    }


if __name__ == "__main__":
    main()
