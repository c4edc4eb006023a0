import math

import pytest
import torch

from mpijob_bench.models import MODELS, TINY, create

# resnet50, vgg16: torchvision's documentation; gpt2: the published checkpoint with tied matrices;
# bert-large: BertForMaskedLM, without pooler; the larger GPT-2: the published checkpoints
PUBLISHED = {
    "resnet50": 25_557_032,
    "vgg16": 138_357_544,
    "bert-large": 335_174_458,
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
}


def test_every_model_has_a_published_count():
    """A new model needs a row."""
    assert PUBLISHED.keys() == MODELS.keys()


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_the_published_number(name):
    """The full-size network has as many parameters as its paper's."""
    with torch.device("meta"):
        assert create(name).parameter_count() == PUBLISHED[name]


@pytest.mark.parametrize("name", TINY)
def test_a_tiny_network_learns_its_batch(name):
    """The first loss is near that of guessing; steps on one batch lower it."""
    torch.manual_seed(1)
    network = create(name, **TINY[name])
    inputs, targets = network.example(batch_size=4)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = network.loss(network(inputs), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    classes = network(inputs).shape[-1]
    assert losses[0] == pytest.approx(math.log(classes), rel=0.3)
    assert losses[-1] < losses[0] - 0.5
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_gpt2_does_not_look_ahead():
    """A token's logits do not change with the tokens after it."""
    torch.manual_seed(1)
    network = create("gpt2", **TINY["gpt2"])
    tokens, _ = network.example(batch_size=1)
    other = tokens.clone()
    other[:, -1] = (other[:, -1] + 1) % 50
    before, after = network(tokens), network(other)
    torch.testing.assert_close(before[:, :-1], after[:, :-1])
    assert not torch.equal(before[:, -1], after[:, -1])


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("resnet18", {}),
        ("gpt2", {"colour": 1}),
        ("gpt2", {"heads": 0}),
        ("gpt2", {"layers": 1.5}),
        ("gpt2", {"width": 65}),
        ("vgg16", {"dropout": 1.5}),
        ("resnet50", {"blocks": (1, 0)}),
    ],
)
def test_a_network_that_cannot_be_is_refused(name, size):
    """Refused with a message that says what is wanted, before torch stumbles."""
    with pytest.raises(ValueError, match="wanted"):
        create(name, **size)
