"""When an emulated rank's waits end."""

import pytest

from mpijob_bench.plan import Emulation
from mpijob_bench.profiles import read_profile, shipped
from mpijob_bench.ranks import computing as module
from mpijob_bench.ranks.computing import ProfileComputing

RANKS = 8


def moments(name, rank, monkeypatch):
    """Return when each wait of a node alone would end, from the start of the backward pass."""
    waits = []
    monkeypatch.setattr(module, "wait_until", lambda moment: waits.append(moment) or 0.0)
    emulation = Emulation(100e9, byte_scale=5000.0, time_scale=1.0)
    profile = read_profile(shipped(name))
    computing = ProfileComputing(profile, emulation, rank=rank, ranks=RANKS, seed=1)
    computing.backward(computing.module)
    forward, *backward = waits
    return [moment - forward for moment in backward]


@pytest.mark.parametrize("name", ["resnet50", "vgg16", "bert-large", "gpt2"])
def test_ranks_are_a_little_apart_and_never_late(name, monkeypatch):
    """Alone, too: by less than 1 % of the backward pass within it, and not at all at its end."""
    profile = read_profile(shipped(name))
    end = profile.gradients[-1].ready_seconds
    first, last = (moments(name, rank, monkeypatch) for rank in (0, RANKS - 1))
    assert first[-1] == pytest.approx(end) == pytest.approx(last[-1])
    assert last == sorted(last)
    apart = [later - earlier for earlier, later in zip(first, last, strict=True)]
    assert 0 < max(apart) < 0.01 * end
    assert min(apart) >= -1e-6
