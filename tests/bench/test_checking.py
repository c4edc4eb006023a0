"""What counts as a wrong element of a gradient."""

import pytest
import torch
from torch import nn

from mpijob_bench.ranks.checking import KnownGradients, check_gradients
from mpijob_bench.ranks.computing import NetworkComputing

SIZE = {"layers": 1, "width": 32, "heads": 2, "vocabulary": 50, "sequence": 8}
DTYPES = {"none": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@pytest.fixture
def network():
    """A small GPT-2 on this machine's processors."""
    return NetworkComputing("gpt2", SIZE, batch=1, device=torch.device("cpu"))


def wrong(network, change=lambda parameters: None, ranks=2, passes=1):
    """Return how many elements of a network's mean are wrong once something has changed them.

    The network is the first of its ranks, and what the others have is added as Gloo would.
    """
    parameters = [*network.module.parameters()]
    others = [KnownGradients(parameters, place=place, ranks=ranks) for place in range(1, ranks)]

    def step():
        for _ in range(passes):
            network.backward(network.module)
        with torch.no_grad():
            for parameter in parameters:
                theirs = sum(other.of(parameter) for other in others)
                parameter.grad = (parameter.grad + passes * theirs) / ranks
            change(parameters)

    found = check_gradients(network, step, range(ranks), 0, passes=passes, compression="none")
    network.update()
    return found


@pytest.mark.parametrize("ranks", [2, 3, 8])
@pytest.mark.parametrize("passes", [1, 3])
def test_a_mean_is_right(network, ranks, passes):
    """Of as many ranks as reduce, and of the passes that add up."""
    assert wrong(network, ranks=ranks, passes=passes) == 0


def test_all_is_wrong_where_nobody_has_reduced(network):
    """Each rank has its own elements alone, and as large as the number of ranks."""
    elements = sum(parameter.numel() for parameter in network.module.parameters())
    found = check_gradients(
        network, lambda: network.backward(network.module), range(2), 0, passes=1, compression="none"
    )
    assert found == elements


def spoil(parameters):
    """Change one element by little."""
    parameters[0].grad.view(-1)[-1] *= 1 + 1e-6


def lose(parameters):
    """Leave a parameter without a gradient."""
    parameters[0].grad = None


def poison(parameters):
    """Make one element no number."""
    parameters[0].grad.view(-1)[0] = torch.nan


def shift(parameters):
    """Put each element two places on."""
    parameters[0].grad = parameters[0].grad.view(-1).roll(2).view_as(parameters[0])


def exchange(parameters):
    """Give a parameter another's gradient."""
    twins = [each for each in parameters if each.shape == parameters[-1].shape]
    twins[0].grad, twins[1].grad = twins[1].grad, twins[0].grad


@pytest.mark.parametrize(
    ("change", "least", "most"),
    [(spoil, 1, 1), (poison, 1, 1), (lose, 1600, 1600), (shift, 1590, 1600), (exchange, 32, 64)],
)
def test_each_kind_of_damage_shows(network, change, least, most):
    """One element by little, no number, a gradient that is missing, displaced, another's."""
    assert least <= wrong(network, change) <= most


def test_afterwards_gradients_are_the_networks_own(network):
    """The hooks are gone."""
    wrong(network)
    network.backward(network.module)
    assert all(each.grad.frac().abs().max() > 0 for each in network.module.parameters())


@pytest.mark.parametrize("ranks", [2, 3, 8, 49, 64, 300])
@pytest.mark.parametrize("passes", [1, 3, 13])
@pytest.mark.parametrize("compression", ["none", "fp16", "bf16"])
@pytest.mark.parametrize("divided", ["first", "last"])
def test_sums_of_many_ranks_are_right_with_sixteen_bits(ranks, passes, compression, divided):
    """Divided first, as DDP does, or last, as Horovod; but not with a rank left out or doubled."""
    parameter = nn.Parameter(torch.zeros(3 * ranks + 5))
    known = [KnownGradients([parameter], place=place, ranks=ranks) for place in range(ranks)]

    def count(places):
        total = torch.zeros(parameter.shape, dtype=DTYPES[compression])
        for place in places:
            share = (passes * known[place].of(parameter)).to(total.dtype)
            total += share / ranks if divided == "first" else share
        parameter.grad = (total if divided == "first" else total / ranks).float()
        return known[0].count_wrong(passes=passes, compression=compression)

    of_a_rank = -(-parameter.numel() // ranks)
    assert count(range(ranks)) == 0
    assert count(range(1, ranks)) == of_a_rank
    assert count([0, *range(ranks)]) == of_a_rank
