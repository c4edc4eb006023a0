"""Train a small network on the digits data with DistributedDataParallel over Gloo.

RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT come from mpijob-runtime's rank wrapper, so the
same file runs under mpirun, under torchrun and alone:

    python train.py            # one process: the accuracy to compare with
"""

import argparse
import os
import socket
import sys

import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

BATCH, BASE_LR, MOMENTUM, HIDDEN = 32, 0.08, 0.9, 128  # batch and rate are those of one process
TEST_SHARE = 5  # every fifth image is for the test


def load(device: torch.device) -> tuple[TensorDataset, TensorDataset]:
    """Return training and test data: 8x8 images as 64 numbers from 0 to 1, and their digits."""
    images, digits = load_digits(return_X_y=True)
    x = torch.tensor(images / 16.0, dtype=torch.float32, device=device)
    y = torch.tensor(digits, device=device)
    test = torch.arange(len(x)) % TEST_SHARE == 0
    return TensorDataset(x[~test], y[~test]), TensorDataset(x[test], y[test])


def learning_rate(step: int, *, warmup_steps: int, factor: int) -> float:
    """Return the factor on the base rate: linear scaling, gradual warm-up (arXiv 1706.02677)."""
    if step >= warmup_steps:
        return float(factor)
    return 1.0 + (factor - 1.0) * step / warmup_steps


def train(seed: int, epochs: int, warmup_epochs: int) -> float:
    """Train once and return the accuracy on the test data, equal on all ranks."""
    world = dist.get_world_size()
    torch.manual_seed(seed)
    train_data, test_data = load(torch.device("cpu"))
    network = nn.Sequential(nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
    model = DistributedDataParallel(network)
    sampler = DistributedSampler(train_data, seed=seed)
    loader = DataLoader(train_data, batch_size=BATCH, sampler=sampler, drop_last=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=BASE_LR, momentum=MOMENTUM)
    warmup_steps = warmup_epochs * len(loader)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: learning_rate(step, warmup_steps=warmup_steps, factor=world),
    )
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        for x, y in loader:
            optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(model(x), y).backward()
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

    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "29500")
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    dist.init_process_group("gloo", rank=rank, world_size=world)
    try:
        print(f"rank {rank} of {world} on {socket.gethostname()}", flush=True)
        scores = [train(s, arguments.epochs, arguments.warmup_epochs) for s in arguments.seeds]
    finally:
        dist.destroy_process_group()
    mean = sum(scores) / len(scores)
    if rank == 0:
        each = ", ".join(f"{score:.1%}" for score in scores)
        print(
            f"accuracy {mean:.1%} (seeds: {each}) with {world} ranks, "
            f"learning rate {BASE_LR} x {world} after {arguments.warmup_epochs} epochs of warm-up",
            flush=True,
        )
    return 0 if mean >= arguments.at_least else 1


if __name__ == "__main__":
    sys.exit(main())
