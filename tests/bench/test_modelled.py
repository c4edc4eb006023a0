import json

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from mpijob_bench.models import TINY, create
from mpijob_bench.profiles import shipped
from mpijob_bench.profiles.anchors import ANCHORS
from mpijob_bench.profiles.costs import CostMode
from mpijob_bench.profiles.devices import DEVICES
from mpijob_bench.profiles.modelled import SHIPPED, Setting, modelled_profile
from mpijob_bench.profiles.profile import format_profile

LARGEST_DEVIATION = 0.3  # docs/profiles.md tells each


def tiny(name, batch_size=4):
    """Return the setting of a tiny network."""
    return Setting(name, "v100", "fp32", batch_size, "AdamW", TINY[name])


@pytest.mark.parametrize("setting", SHIPPED, ids=lambda setting: setting.model)
def test_the_shipped_file_is_current(setting):
    """`python -m mpijob_bench.profiles.modelled` was run after the last change."""
    with open(shipped(setting.model), encoding="utf-8") as file:
        assert json.load(file) == json.loads(format_profile(modelled_profile(setting)))


@pytest.mark.parametrize("name", TINY)
def test_gradients_get_ready_in_the_order_of_a_real_backward_pass(name):
    """Only times are modelled: fake tensors take torch's own way through the graph."""
    order = []
    network = create(name, **TINY[name])
    for parameter_name, parameter in network.named_parameters():
        parameter.register_post_accumulate_grad_hook(
            lambda _tensor, name=parameter_name: order.append(name)
        )
    inputs, targets = network.example(batch_size=4)
    network.loss(network(inputs), targets).backward()
    assert [gradient.name for gradient in modelled_profile(tiny(name)).gradients] == order


@pytest.mark.parametrize(
    "anchor",
    [anchor for anchor in ANCHORS if anchor.calibrates or anchor.part == "backward"],
    ids=lambda anchor: f"{anchor.setting.device}-{anchor.setting.precision}-{anchor.part}",
)
def test_the_model_is_near_published_times(anchor):
    """Where it is calibrated it is right; elsewhere it is not further off than the page says."""
    limit = 0.01 if anchor.calibrates else LARGEST_DEVIATION
    assert anchor.modelled_seconds() == pytest.approx(anchor.seconds, rel=limit)


def test_a_matrix_product_costs_its_formula():
    """2mkn operations, forward; twice that backward; bytes of each tensor once."""
    with FakeTensorMode(), CostMode(lambda flops, _moved: flops) as costs:
        left = torch.empty(8, 16, requires_grad=True)
        right = torch.empty(16, 4, requires_grad=True)
        product = left @ right
        assert (costs.flops, costs.moved_bytes) == (2 * 8 * 16 * 4, 4 * (8 * 16 + 16 * 4 + 8 * 4))
        product.backward(torch.empty(8, 4))
    assert costs.flops == 3 * 2 * 8 * 16 * 4


def test_an_addition_costs_its_bytes():
    """Two tensors are read and one written; no operation of a matrix product."""
    with FakeTensorMode(), CostMode(lambda _flops, moved: moved) as costs:
        _ = torch.empty(100) + torch.empty(100)
    assert (costs.flops, costs.seconds) == (0, 3 * 100 * 4)


def test_views_and_lookups_cost_what_they_touch():
    """A view moves nothing; an embedding reads the rows that it looks up."""
    with FakeTensorMode(), CostMode(lambda _flops, moved: moved) as costs:
        table = torch.empty(1000, 10)
        rows = torch.empty(5, dtype=torch.int64)
        table.view(-1).unsqueeze(0).expand(3, -1)
        assert costs.seconds == 0
        torch.nn.functional.embedding(rows, table)
    assert costs.seconds == 2 * 5 * 10 * 4


def test_causal_attention_costs_half():
    """Forward and backward: the GPU's kernel skips the blocks above the diagonal."""
    flops = []
    for causal in (False, True):
        with FakeTensorMode(), CostMode(lambda flops, _moved: flops) as costs:
            heads = torch.empty(2, 4, 32, 16, requires_grad=True)
            attention = torch.nn.functional.scaled_dot_product_attention
            attention(heads, heads, heads, is_causal=causal).sum().backward()
        flops.append(costs.flops)
    assert flops[0] == 2 * flops[1] > 0


@pytest.mark.parametrize(
    ("flops", "moved", "seconds"),
    [(125e12 * 0.65, 0, 1), (0, 900e9 * 0.65, 1), (125e12 * 0.65, 450e9 * 0.65, 1), (0, 1, 4e-6)],
)
def test_the_roofline(flops, moved, seconds):
    """A kernel takes the longer of computing and moving, and never less than the smallest."""
    assert DEVICES["v100"].seconds(flops, moved, "fp16") == pytest.approx(seconds)


def test_twice_the_batch_is_not_more_than_twice_the_time():
    """Small kernels have a floor, the rest is proportional."""
    one, two = (
        modelled_profile(Setting("gpt2", "v100", "fp32", batch_size, "AdamW", {"layers": 1}))
        for batch_size in (4, 8)
    )
    assert 1.5 < two.backward_seconds / one.backward_seconds <= 2
