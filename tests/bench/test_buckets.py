import json
import random

import pytest
import torch
import torch.distributed

from mpijob_bench.buckets import BUCKET_BYTES, FIRST_BUCKET_BYTES, MIB, ddp_buckets
from mpijob_bench.profiles import Gradient, shipped


def same_as_torch(gradients, cap_bytes):
    """Tell whether our buckets have as many gradients as torch's."""
    tensors = [torch.empty(one.elements, device="meta") for one in gradients]
    limits = [FIRST_BUCKET_BYTES, BUCKET_BYTES] if cap_bytes is None else [cap_bytes]
    order = list(range(len(tensors)))
    sparse = [False] * len(tensors)
    theirs, _ = torch.distributed._compute_bucket_assignment_by_size(tensors, limits, sparse, order)
    ours = ddp_buckets(gradients, cap_bytes)
    return [one.gradients for one in ours] == [len(one) for one in theirs]


@pytest.mark.parametrize("network", ["resnet50", "vgg16", "bert-large", "gpt2"])
@pytest.mark.parametrize("cap_mb", [None, 1, 5, 25, 100])
def test_buckets_of_the_shipped_profiles_are_torchs(network, cap_mb):
    """As DDP builds them anew after its first step."""
    with open(shipped(network), encoding="utf-8") as file:
        gradients = [Gradient(**one) for one in json.load(file)["gradients"]]
    assert same_as_torch(gradients, cap_mb and cap_mb * MIB)


@pytest.mark.parametrize("seed", range(20))
def test_buckets_of_random_gradients_are_torchs(seed):
    """Sizes from one element to some caps, and some that meet a cap exactly."""
    chance = random.Random(seed)
    sizes = [chance.choice([1, 7, 4096, MIB // 4, MIB // 2, 3 * MIB]) for _ in range(60)]
    gradients = [Gradient(str(k), size, 4 * size, float(k)) for k, size in enumerate(sizes)]
    assert same_as_torch(gradients, chance.choice([None, MIB, 4 * MIB, 25 * MIB]))


def test_the_first_bucket_is_torchs():
    """A constant of theirs that ours must follow."""
    assert torch.distributed._DEFAULT_FIRST_BUCKET_BYTES == FIRST_BUCKET_BYTES
