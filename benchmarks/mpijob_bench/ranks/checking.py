"""Whether ranks sum right: gradients of a step that are known, and patterns of whole numbers."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mpijob_bench.ranks.computing import Computing
from mpijob_bench.ranks.patterns import Pattern, chunks

_TRAVEL = {"none": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_ROUNDINGS = 4  # to 16 bits, by the number of ranks, and the reciprocal of that
_PERIOD = 127  # the largest value: 8 bits, as bfloat16 has, and a prime that no size divides


class KnownGradients:
    """Gradients whose mean is known: each element is one rank's, and nothing on all others.

    Element i of all parameters together is 1 + i mod 127 on rank i mod n: a sum over any number
    of ranks rounds nothing, in 16 bits neither, and a rank that is left out or counted twice, or
    an element in another's place, shows.

    Args:
        parameters: whose gradients they are.
        place: of this rank among those that reduce.
        ranks: how many reduce.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], *, place: int, ranks: int) -> None:
        self._parameters, self._place, self._ranks = parameters, place, ranks
        self._first: dict[nn.Parameter, int] = {}
        elements = 0
        for parameter in parameters:
            self._first[parameter] = elements
            elements += parameter.numel()

    def of(self, parameter: nn.Parameter) -> Tensor:
        """Return this rank's gradient of a parameter."""
        gradient = torch.empty(parameter.shape, dtype=parameter.dtype, device=parameter.device)
        for start, part in chunks(gradient.view(-1)):
            index = self._index(parameter, start, len(part))
            here = index % self._ranks == self._place
            part.copy_(torch.where(here, 1 + index % _PERIOD, 0))
        return gradient

    def count_wrong(self, *, passes: int, compression: str) -> int:
        """Return how many elements of the parameters' gradients are not the mean.

        Args:
            passes: whose gradients have added up.
            compression: of the exchange: none, fp16 or bf16.
        """
        most = _ROUNDINGS * torch.finfo(_TRAVEL[compression]).eps
        wrong = 0
        for parameter in self._parameters:
            if parameter.grad is None:
                wrong += parameter.numel()
                continue
            for start, part in chunks(parameter.grad.reshape(-1)):
                index = self._index(parameter, start, len(part))
                ratio = part / ((1 + index % _PERIOD) * (passes / self._ranks))
                wrong += int((~((ratio - 1).abs() <= most)).sum())  # so that NaN is wrong
        return wrong

    def _index(self, parameter: nn.Parameter, start: int, length: int) -> Tensor:
        """Return where elements of a parameter are among all."""
        first = self._first[parameter] + start
        return torch.arange(first, first + length, device=parameter.device)


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
    parameters = [*computing.module.parameters()]
    known = KnownGradients(parameters, place=ranks.index(rank), ranks=len(ranks))
    with computing.known_gradients(known.of):
        step()
    return known.count_wrong(passes=passes, compression=compression)


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
    pattern, wrong = Pattern(len(ranks), device), 0
    for size in (1, 1023, largest):
        array = torch.empty(size, device=device)
        pattern.fill(array, rank=ranks.index(rank))
        reduce(array)
        wrong += pattern.count_wrong(array)
    return wrong
