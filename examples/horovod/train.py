"""Train a small network on the digits data with Horovod.

The same data, network and rates as examples/ddp. Horovod learns its rank from MPI, so the same
file runs under mpirun, under horovodrun and alone:

    python train.py            # one process: the accuracy to compare with
"""

import argparse
import socket
import sys

import horovod.torch as hvd
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

from mpijob_runtime.training import Warmup, scale_learning_rate

BATCH, BASE_LR, MOMENTUM, HIDDEN = 32, 0.08, 0.9, 128  # batch and rate are those of one process
TEST_SHARE = 5  # every fifth image is for the test


def load() -> tuple[TensorDataset, TensorDataset]:
    """Return training and test data: 8x8 images as 64 numbers from 0 to 1, and their digits."""
    images, digits = load_digits(return_X_y=True)
    x, y = torch.tensor(images / 16.0, dtype=torch.float32), torch.tensor(digits)
    test = torch.arange(len(x)) % TEST_SHARE == 0
    return TensorDataset(x[~test], y[~test]), TensorDataset(x[test], y[test])


def train(seed: int, epochs: int, warmup_epochs: int) -> float:
    """Train once and return the accuracy on the test data, equal on all ranks."""
    torch.manual_seed(seed + hvd.rank())  # rank 0's network is everybody's after the broadcast
    train_data, test_data = load()
    network = nn.Sequential(nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
    sampler = DistributedSampler(train_data, hvd.size(), hvd.rank(), seed=seed)
    loader = DataLoader(train_data, batch_size=BATCH, sampler=sampler, drop_last=True)
    warmup_steps = warmup_epochs * len(loader)
    sgd = torch.optim.SGD(network.parameters(), lr=BASE_LR, momentum=MOMENTUM)
    plan = scale_learning_rate(BASE_LR, BATCH, BATCH, hvd.size(), warmup_steps=warmup_steps)
    plan.apply(sgd)
    optimizer = hvd.DistributedOptimizer(sgd, named_parameters=network.named_parameters())
    hvd.broadcast_parameters(network.state_dict(), root_rank=0)
    hvd.broadcast_optimizer_state(optimizer, root_rank=0)
    schedule = Warmup(optimizer, warmup_steps)
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        for x, y in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x), y).backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        x, y = test_data.tensors
        return (network(x).argmax(dim=1) == y).float().mean().item()


def main() -> int:
    """Train with each seed and print the mean accuracy on rank 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--warmup-epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--at-least", type=float, default=0.95, help="fail below this accuracy")
    arguments = parser.parse_args()

    hvd.init()
    print(f"rank {hvd.rank()} of {hvd.size()} on {socket.gethostname()}", flush=True)
    scores = [train(s, arguments.epochs, arguments.warmup_epochs) for s in arguments.seeds]
    mean = sum(scores) / len(scores)
    if hvd.rank() == 0:
        each = ", ".join(f"{score:.1%}" for score in scores)
        print(
            f"accuracy {mean:.1%} (seeds: {each}) with {hvd.size()} ranks, learning rate "
            f"{BASE_LR} x {hvd.size()} after {arguments.warmup_epochs} epochs of warm-up",
            flush=True,
        )
    return 0 if mean >= arguments.at_least else 1


if __name__ == "__main__":
    sys.exit(main())
