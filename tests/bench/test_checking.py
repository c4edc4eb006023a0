"""What counts as a wrong element of a gradient."""

import pytest
import torch

from mpijob_bench.ranks.checking import check_gradients, gradient_value
from mpijob_bench.ranks.computing import NetworkComputing

SIZE = {"layers": 1, "width": 32, "heads": 2, "vocabulary": 50, "sequence": 8}
MEAN_OF_TWO = 3.0


@pytest.fixture
def network():
    """A small GPT-2 on this machine's processors."""
    return NetworkComputing("gpt2", SIZE, batch=1, device=torch.device("cpu"))


def wrong(network, reduced, ranks=(0, 1), compression="none"):
    """Return how many elements are wrong if gradients become what a function makes of them."""

    def step():
        network.backward(network.module)
        for parameter in network.module.parameters():
            parameter.grad = reduced(parameter.grad)

    return check_gradients(network, step, ranks, 0, passes=1, compression=compression)


def test_a_networks_gradients_are_looked_at_element_by_element(network):
    """None is wrong in a mean, all are if nobody has reduced, and what is no number is."""
    elements = sum(parameter.numel() for parameter in network.module.parameters())
    assert wrong(network, lambda grad: grad * MEAN_OF_TWO / gradient_value(0, 2)) == 0
    assert wrong(network, lambda grad: grad) == elements
    assert wrong(network, lambda grad: grad * float("nan")) == elements


def test_one_element_or_one_parameter_is_enough(network):
    """One that is off by little, and a gradient that is missing."""
    first = next(iter(network.module.parameters()))

    def of_the_first(broken):
        told = iter([broken])
        return lambda grad: next(told, torch.full_like)(grad, MEAN_OF_TWO)

    def one_off(grad, mean):
        found = torch.full_like(grad, mean)
        found.view(-1)[-1] += 1e-6
        return found

    assert wrong(network, of_the_first(one_off)) == 1
    assert wrong(network, of_the_first(lambda grad, mean: None)) == first.numel()


def test_afterwards_gradients_are_the_networks_own(network):
    """The hooks are gone."""
    wrong(network, lambda grad: grad)
    network.update()
    network.backward(network.module)
    assert all(each.grad.unique().numel() > 1 for each in network.module.parameters())


@pytest.mark.parametrize("world_size", [2, 3, 6, 7, 8, 24, 49, 64, 100, 128])
@pytest.mark.parametrize("compression", ["none", "fp16", "bf16"])
def test_sums_of_many_ranks_are_right_with_sixteen_bits(network, world_size, compression):
    """Divided first, as DDP does, or last, as Horovod; but not with a rank left out."""
    dtype = {"none": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[compression]
    values = torch.tensor([gradient_value(rank, world_size) for rank in range(world_size)])
    shares = values.to(dtype) / world_size
    ranks = range(world_size)

    def found(mean):
        return wrong(network, lambda grad: torch.full_like(grad, float(mean)), ranks, compression)

    assert found(sum(shares)) == 0
    if compression != "bf16":
        assert found(sum(values.to(dtype)) / world_size) == 0
        assert found(sum(shares[1:])) > 0
