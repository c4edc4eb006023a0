"""Whether ranks sum right: gradients of a step that are known, and patterns of whole numbers."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mpijob_bench.ranks.computing import Computing

_TRAVEL = {"none": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_ROUNDINGS = 4  # of a mean over a number of ranks that is no power of two


def gradient_value(rank: int, world_size: int) -> float:
    """Return every element of a rank's gradient: divided by the world's size it is 1 or 2.

    16 bits hold all partial sums over so many ranks: 170 with bf16, 1365 with fp16.
    """
    return float(world_size * (1 + rank % 2))


def check_gradients(
    computing: Computing,
    step: Callable[[], None],
    ranks: Sequence[int],
    rank: int,
    *,
    passes: int,
    compression: str,
) -> int:
    """Do a step with known gradients; return how many elements are not their mean.

    Args:
        computing: whose gradients they are.
        step: does the backward passes and reduces.
        ranks: that reduce.
        rank: this one.
        passes: whose gradients add up in a step.
        compression: of the exchange: none, fp16 or bf16.
    """
    world_size = len(ranks)
    with computing.known_gradients(gradient_value(rank, world_size)):
        step()
    wanted = passes * sum(gradient_value(each, world_size) for each in ranks) / world_size
    exact = world_size & (world_size - 1) == 0
    most = 0.0 if exact else _ROUNDINGS * torch.finfo(_TRAVEL[compression]).eps * wanted
    parameters = list(computing.module.parameters())
    missing = sum(each.numel() for each in parameters if each.grad is None)
    grads = [each.grad for each in parameters if each.grad is not None]
    return missing + sum(int((~((grad - wanted).abs() <= most)).sum()) for grad in grads)


def horovod_sum(tensor: Tensor) -> None:
    """Sum a tensor over the ranks of this process's Horovod, in place."""
    import horovod.torch as hvd

    hvd.allreduce_(tensor, op=hvd.Sum, name=f"check.{tensor.numel()}")


def check_all_reduce(
    reduce: Callable[[Tensor], object],
    ranks: Sequence[int],
    rank: int,
    device: torch.device,
    *,
    largest: int,
) -> int:
    """Return how many elements of sums of whole numbers are wrong.

    Args:
        reduce: sums a tensor over the ranks, in place.
        ranks: their numbers.
        rank: this one's.
        device: where the backend takes tensors.
        largest: elements of the largest sum.
    """
    wrong = 0
    for size in (1, 1023, largest):
        pattern = torch.arange(size, device=device, dtype=torch.float32) % 1024
        found = pattern + rank
        reduce(found)
        wanted = pattern * len(ranks) + sum(ranks)
        wrong += int((found != wanted).sum())
    return wrong
