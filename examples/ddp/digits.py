"""What is trained, and all of it that a checkpoint has to hold."""

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

from mpijob_runtime.training import Warmup, scale_learning_rate, world

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
