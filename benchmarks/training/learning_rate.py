"""Accuracy after equal epochs, by learning-rate rule, at eight times the batch.

Trains small networks on scikit-learn's digits with DistributedDataParallel over Gloo. The base
rate is tuned for one process with a batch of 32, on validation data and seeds that are not used
again; a quarter of it is tried as well. Then each rule trains with all ranks, from the same seeds:
equal weights at the start, equal data in equal order. Rank 0 writes all curves as JSON;
plot_learning_rate.py draws them.

The networks of all rules and seeds are parts of one model and know nothing of each other: their
gradients travel in one all-reduce a step, which saves most of the waiting.

    mpijob-runtime launch --host localhost:8 -- python learning_rate.py --out results.json
"""

import argparse
import json
import statistics
from collections.abc import Iterable

import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mpijob_runtime.training import Warmup, World, init_process_group, scale_learning_rate

BATCH, HIDDEN, MOMENTUM = 32, 128, 0.9
SAMPLES, VALIDATION = (
    1280,
    258,
)  # whole steps for batches of 32 and of 256; the rest is for the test
RATES = [0.01 * 2**power for power in range(8)]
TUNING_SEEDS = (101, 102, 103)
RULES = {
    "none": ("none", False),
    "linear": ("linear", False),
    "linear, warm-up": ("linear", True),
    "sqrt": ("sqrt", False),
}
"""Name in the results -> rule, and whether Warmup is used."""

SHARES = {"tuned": 1.0, "a quarter": 0.25}
"""Name in the results -> base rate over the tuned one."""

Data = dict[str, tuple[torch.Tensor, torch.Tensor]]


def load() -> Data:
    """Return training, validation and test data: 8x8 images as 64 numbers, and their digits."""
    images, digits = load_digits(return_X_y=True)
    order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))
    x = torch.tensor(images / 16.0, dtype=torch.float32)[order]
    y = torch.tensor(digits)[order]
    ends = {"train": (0, SAMPLES), "validation": (SAMPLES, SAMPLES + VALIDATION)}
    ends["test"] = (SAMPLES + VALIDATION, len(y))
    return {name: (x[first:last], y[first:last]) for name, (first, last) in ends.items()}


def make_network(seed: int) -> nn.Sequential:
    """Return a network whose weights depend on the seed alone."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))


def accuracy(network: nn.Module, data: tuple[torch.Tensor, torch.Tensor]) -> float:
    """Return the share of digits that are recognised."""
    with torch.no_grad():
        return round(float((network(data[0]).argmax(dim=1) == data[1]).float().mean()), 4)


def train(data: Data, *, seed: int, epochs: int, rate: float, judge: str) -> list[float]:
    """Train alone with a batch of 32; return the accuracy after each epoch."""
    network = make_network(seed)
    optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=MOMENTUM)
    shuffle = torch.Generator().manual_seed(seed)
    x, y = data["train"]
    curve = []
    for _ in range(epochs):
        for chosen in torch.randperm(SAMPLES, generator=shuffle).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x[chosen]), y[chosen]).backward()
            optimizer.step()
        curve.append(accuracy(network, data[judge]))
    return curve


class Trial:
    """One rule from one base rate, with a network for each seed, and their test accuracies."""

    def __init__(self, place: World, seeds: range, *, name: str, rate: float, warmup: int) -> None:
        rule, warm = RULES[name]
        self.networks = nn.ModuleList(make_network(seed) for seed in seeds)
        self.optimizer = torch.optim.SGD(self.networks.parameters(), lr=rate, momentum=MOMENTUM)
        steps = warmup if warm else 0
        plan = scale_learning_rate(rate, BATCH, BATCH, place.size, rule=rule, warmup_steps=steps)
        plan.apply(self.optimizer)
        self.schedule = Warmup(self.optimizer, steps)
        self.curves: list[list[float]] = [[] for _ in seeds]

    def step(self) -> None:
        """Use the gradients."""
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()

    def judge(self, data: Data) -> None:
        """Note each network's accuracy on the test data."""
        for network, curve in zip(self.networks, self.curves, strict=True):
            curve.append(accuracy(network, data["test"]))


class SideBySide(nn.Module):
    """Many trials as one model: its loss is the sum of theirs."""

    def __init__(self, trials: Iterable[Trial]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(trial.networks for trial in trials)

    def forward(self, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
        """Return the sum of all losses; each seed has its batch."""
        losses = [
            nn.functional.cross_entropy(network(x), y)
            for networks in self.parts
            for network, (x, y) in zip(networks, batches, strict=True)
        ]
        return torch.stack(losses).sum()


def train_together(
    data: Data, place: World, trials: list[Trial], seeds: range, epochs: int
) -> None:
    """Train all trials with all ranks and a batch of 32 each."""
    model = DistributedDataParallel(SideBySide(trials))
    shuffles = [torch.Generator().manual_seed(seed) for seed in seeds]
    x, y = data["train"]
    for _ in range(epochs):
        orders = [torch.randperm(SAMPLES, generator=shuffle) for shuffle in shuffles]
        for first in range(place.rank * BATCH, SAMPLES, place.size * BATCH):
            chosen = [order[first : first + BATCH] for order in orders]
            model([(x[each], y[each]) for each in chosen]).backward()
            for trial in trials:
                trial.step()
        for trial in trials:
            trial.judge(data)


def tune(data: Data, place: World, epochs: int) -> dict[float, float]:
    """Return the mean validation accuracy of each rate, each tried by one rank alone."""
    found: list[object] = [None] * place.size
    mine = {
        rate: statistics.mean(
            train(data, seed=seed, epochs=epochs, rate=rate, judge="validation")[-1]
            for seed in TUNING_SEEDS
        )
        for rate in RATES[place.rank :: place.size]
    }
    dist.all_gather_object(found, mine)
    return {rate: score for part in found for rate, score in part.items()}


def alone(data: Data, place: World, seeds: range, *, epochs: int, rate: float) -> list[list[float]]:
    """Return the curves of one process with a batch of 32; ranks share the seeds out."""
    found: list[object] = [None] * place.size
    mine = {
        seed: train(data, seed=seed, epochs=epochs, rate=rate, judge="test")
        for seed in seeds[place.rank :: place.size]
    }
    dist.all_gather_object(found, mine)
    curves = {seed: curve for part in found for seed, curve in part.items()}
    return [curves[seed] for seed in seeds]


def main() -> None:
    """Tune, train with each rule and seed, and write the curves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--warmup-epochs", type=int, default=5, help="as in arXiv:1706.02677")
    parser.add_argument("--seeds", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with init_process_group() as group:
        result = measure(group.world, arguments.seeds, arguments.epochs, arguments.warmup_epochs)
        first = group.world.rank == 0
    if first:
        with open(arguments.out, "w", encoding="utf-8") as file:
            json.dump(result, file)


def measure(place: World, count: int, epochs: int, warmup_epochs: int) -> dict[str, object]:
    """Return all settings and curves."""
    data, seeds = load(), range(1, count + 1)
    tuned = tune(data, place, epochs)
    best = max(sorted(tuned), key=lambda each: tuned[each])
    warmup = warmup_epochs * (SAMPLES // (BATCH * place.size))
    trials = {
        (share, name): Trial(place, seeds, name=name, rate=best * SHARES[share], warmup=warmup)
        for share in SHARES
        for name in RULES
    }
    train_together(data, place, list(trials.values()), seeds, epochs)
    curves: dict[str, dict[str, list[list[float]]]] = {}
    for share, part in SHARES.items():
        curves[share] = {"one process": alone(data, place, seeds, epochs=epochs, rate=best * part)}
        curves[share] |= {name: trials[share, name].curves for name in RULES}
    return {
        "ranks": place.size,
        "batch_per_rank": BATCH,
        "epochs": epochs,
        "warmup_epochs": warmup_epochs,
        "seeds": list(seeds),
        "tuning": [{"rate": each, "validation": tuned[each]} for each in sorted(tuned)],
        "base_lr": {share: best * part for share, part in SHARES.items()},
        "test_samples": len(data["test"][1]),
        "accuracy": curves,
    }


if __name__ == "__main__":
    main()
