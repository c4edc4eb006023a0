"""The networks that are benchmarked, by name; written with torch alone.

network = create("gpt2", layers=2, width=64, heads=2)
inputs, targets = network.example(batch_size=4)
network.loss(network(inputs), targets).backward()
"""

import dataclasses

from mpijob_bench.models.bert import Bert, BertSize
from mpijob_bench.models.gpt2 import Gpt2, Gpt2Size
from mpijob_bench.models.network import Network
from mpijob_bench.models.resnet import ResNet, ResNetSize
from mpijob_bench.models.vgg import Vgg, VggSize

__all__ = ["MODELS", "TINY", "Network", "create"]

Size = ResNetSize | VggSize | BertSize | Gpt2Size

MODELS: dict[str, Size] = {
    "resnet50": ResNetSize(),
    "vgg16": VggSize(),
    "bert-large": BertSize(),
    "gpt2": Gpt2Size(),
    "gpt2-medium": Gpt2Size(layers=24, width=1024, heads=16),
    "gpt2-large": Gpt2Size(layers=36, width=1280, heads=20),
    "gpt2-xl": Gpt2Size(layers=48, width=1600, heads=25),
}
"""The published size of each network, under the name that every command takes."""

TINY: dict[str, dict[str, object]] = {
    "resnet50": {"blocks": (1, 1, 1, 1), "width": 8, "classes": 10, "image": 32},
    "vgg16": {"width": 4, "hidden": 16, "classes": 10, "image": 32, "dropout": 0.0},
    "bert-large": {"layers": 2, "width": 32, "heads": 2, "vocabulary": 50, "sequence": 16},
    "gpt2": {"layers": 2, "width": 32, "heads": 2, "vocabulary": 50, "sequence": 16},
}
"""Changes that make a network small enough for a test on a CPU."""


def create(name: str, **changes: object) -> Network:
    """Return a network on torch's default device.

    Args:
        name: A key of `MODELS`.
        changes: Fields of the network's size that are to differ from the published ones.

    Raises:
        ValueError: There is no such network, it has no such field, or not with such a value.
    """
    if name not in MODELS:
        raise ValueError(f"model: found {name!r}, wanted one of {', '.join(MODELS)}")
    size = MODELS[name]
    fields = {field.name for field in dataclasses.fields(size)}
    if unknown := changes.keys() - fields:
        raise ValueError(
            f"size of {name}: found {', '.join(sorted(unknown))},"
            f" wanted some of {', '.join(sorted(fields))}"
        )
    changes = {  # JSON has no tuples
        field: tuple(value) if isinstance(value, list) else value
        for field, value in changes.items()
    }
    for field, value in changes.items():
        usual = getattr(size, field)
        if type(value) is not type(usual) or not is_size(value):
            raise ValueError(
                f"size of {name}: found {field}={value!r}, wanted something like {field}={usual!r}"
            )
    match dataclasses.replace(size, **changes):  # type: ignore[arg-type] # checked by name only
        case ResNetSize() as resnet:
            return ResNet(resnet)
        case VggSize() as vgg:
            return Vgg(vgg)
        case BertSize() as bert:
            return Bert(bert)
        case Gpt2Size() as gpt2:
            return Gpt2(gpt2)


def is_size(value: object) -> bool:
    """Return whether a value is a count from 1 up, several of them, or a share below 1."""
    match value:
        case int():
            return value > 0
        case float():
            return 0 <= value < 1
        case tuple():
            return bool(value) and all(type(item) is int and item > 0 for item in value)
    return False
