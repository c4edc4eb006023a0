"""How fast ranks compute when all of them do the same at once."""

import statistics
import time

import torch

from mpijob_bench.ranks.backends import Backend

_ROUND_SECONDS = 0.5
_CPU_ROWS = 512
_GPU_ROWS = 8192


def measure_speed(backend: Backend, *, rounds: int) -> tuple[float, list[float]]:
    """Multiply matrices, as many on each rank, all ranks at once.

    Returns:
        How many operations a round has (2 n^3 for each product), and the seconds of each round.
    """
    left, right = _matrices(backend.device)
    _multiply(left, right, 1)
    probe = _multiply(left, right, 2) / 2
    count = max(1, round(_ROUND_SECONDS / statistics.median(backend.gather(probe))))
    seconds = []
    for _ in range(rounds):
        backend.barrier()
        seconds.append(_multiply(left, right, count))
    return count * 2.0 * len(left) ** 3, seconds


def _matrices(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    gpu = device.type == "cuda"
    rows, kind = (_GPU_ROWS, torch.bfloat16) if gpu else (_CPU_ROWS, torch.float32)
    generator = torch.Generator().manual_seed(1)  # power depends on the data
    left, right = (torch.randn(rows, rows, generator=generator) for _ in range(2))
    return left.to(device, kind), right.to(device, kind)


def _multiply(left: torch.Tensor, right: torch.Tensor, count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        product = left @ right
    if product.is_cuda:
        torch.cuda.synchronize(product.device)
    return time.perf_counter() - began
