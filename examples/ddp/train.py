"""Train a small network on the digits data with DistributedDataParallel.

The same file runs under mpijob-runtime, mpirun, torchrun and alone. With a checkpoint directory
that all hosts share, a job that is told to end saves at one step of all ranks, and its next start
goes on behind that step: no sample is left out or used twice.

    mpijob-runtime launch -- python train.py --checkpoint-dir /shared/ddp
    python train.py            # one process: the accuracy to compare with
"""

import argparse
import os
import socket
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

from mpijob_runtime.training import (
    Metrics,
    Preemption,
    Warmup,
    init_process_group,
    scale_learning_rate,
    world,
)

BATCH, BASE_LR, MOMENTUM, HIDDEN = 32, 0.08, 0.9, 128  # batch and rate are those of one process
TEST_SHARE = 5  # every fifth image is for the test
HERE = world()


def load(device: torch.device) -> tuple[TensorDataset, TensorDataset]:
    """Return training and test data: 8x8 images as 64 numbers from 0 to 1, and their digits."""
    images, digits = load_digits(return_X_y=True)
    x = torch.tensor(images / 16.0, dtype=torch.float32, device=device)
    y = torch.tensor(digits, device=device)
    test = torch.arange(len(x)) % TEST_SHARE == 0
    return TensorDataset(x[~test], y[~test]), TensorDataset(x[test], y[test])


class Training:
    """One training from its seed on: all that a checkpoint has to hold."""

    def __init__(self, seed: int, warmup_epochs: int, device: torch.device) -> None:
        torch.manual_seed(seed)
        data, self.test = load(device)
        self.network = nn.Sequential(nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
        self.model = DistributedDataParallel(self.network.to(device))
        self.sampler = DistributedSampler(data, seed=seed)
        own = torch.Generator()  # else each start of an epoch would change the random state
        self.loader = DataLoader(data, BATCH, sampler=self.sampler, drop_last=True, generator=own)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=BASE_LR, momentum=MOMENTUM)
        steps = warmup_epochs * len(self.loader)
        plan = scale_learning_rate(BASE_LR, BATCH, BATCH, HERE.size, warmup_steps=steps)
        plan.apply(self.optimizer)
        self.warmup = Warmup(self.optimizer, steps)
        self.parts = (self.network, self.optimizer, self.warmup)
        self.steps_done = 0

    def batches(self, epochs: int) -> Iterator[list[torch.Tensor]]:
        """Yield the batches of this rank that are still to do, in an order that seeds decide."""
        for epoch in range(self.steps_done // len(self.loader), epochs):
            self.sampler.set_epoch(epoch)
            yield from islice(self.loader, self.steps_done % len(self.loader), None)

    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Train with one batch and return its loss."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        self.warmup.step()
        self.steps_done += 1
        return loss

    def accuracy(self) -> float:
        """Return the share of the test images that are recognised, equal on all ranks."""
        with torch.no_grad():
            x, y = self.test.tensors
            return (self.network(x).argmax(dim=1) == y).float().mean().item()

    def state(self) -> dict[str, Any]:
        """Return what a later start needs; all ranks call it."""
        random_states = [torch.empty(0)] * HERE.size
        dist.all_gather_object(random_states, torch.get_rng_state())
        states = [part.state_dict() for part in self.parts]
        return {"parts": states, "random": random_states, "steps_done": self.steps_done}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on where an earlier start has ended."""
        if len(state["random"]) != HERE.size:
            sys.exit(f"the checkpoint is of {len(state['random'])} ranks, this job has {HERE.size}")
        # DDP orders its buckets anew after a first backward pass, and by that order sums round
        self.model(self.test.tensors[0][:1]).sum().backward()
        for part, saved in zip(self.parts, state["parts"], strict=True):
            part.load_state_dict(saved)
        torch.set_rng_state(state["random"][HERE.rank])
        self.steps_done = state["steps_done"]


def save(path: str | None, scores: list[float], training: Training) -> None:
    """Replace the checkpoint as a whole: whoever is killed meanwhile leaves the old one."""
    state = {"scores": scores, "training": training.state()}
    if path and HERE.rank == 0:
        with open(f"{path}.new", "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{path}.new", path)


def main() -> int:
    """Train with each seed and print the mean accuracy on rank 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--warmup-epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--at-least", type=float, default=0.95, help="fail below this accuracy")
    parser.add_argument("--checkpoint-dir", help="where to save when told to end; shared by hosts")
    arguments = parser.parse_args()
    path = arguments.checkpoint_dir and os.path.join(arguments.checkpoint_dir, "checkpoint.pt")
    saved = {"scores": [], "training": None}
    if path and os.path.exists(path):
        saved = torch.load(path, map_location="cpu", weights_only=True)
    scores = saved["scores"]

    with init_process_group() as group, Preemption() as preemption, Metrics() as metrics:
        print(f"rank {HERE.rank} of {HERE.size} on {socket.gethostname()}", flush=True)
        for seed in arguments.seeds[len(scores) :]:
            training = Training(seed, arguments.warmup_epochs, group.device)
            if state := saved.pop("training", None):
                training.load_state(state)
                print(f"going on after step {training.steps_done} of seed {seed}", flush=True)
            metrics.start()
            for x, y in training.batches(arguments.epochs):
                loss = training.step(x, y)
                number = training.steps_done + len(scores) * arguments.epochs * len(training.loader)
                metrics.step(number, samples=len(x), loss=loss)
                if preemption.agreed(number):
                    save(path, scores, training)
                    print(f"told to end: step {training.steps_done}, saved: {path}", flush=True)
                    preemption.end()
            save(path, scores, training)
            scores.append(training.accuracy())
    mean = sum(scores) / len(scores)
    if HERE.rank == 0:
        each = ", ".join(f"{score:.1%}" for score in scores)
        print(
            f"accuracy {mean:.1%} (seeds: {each}) with {HERE.size} ranks, learning rate "
            f"{BASE_LR} x {HERE.size} after {arguments.warmup_epochs} epochs of warm-up",
            flush=True,
        )
    return 0 if mean >= arguments.at_least else 1


if __name__ == "__main__":
    sys.exit(main())
