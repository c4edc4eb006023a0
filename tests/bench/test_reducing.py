"""Steps of one rank: what its modes send."""

import socket

import pytest
import torch.distributed as dist

from mpijob_bench.buckets import MIB, ddp_buckets
from mpijob_bench.plan import Emulation, Options
from mpijob_bench.profiles import read_profile, shipped
from mpijob_bench.ranks import reducing
from mpijob_bench.ranks.computing import ProfileComputing

BYTE_SCALE = 500.0


@pytest.fixture
def group():
    """A process group of this process alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    dist.init_process_group("gloo", init_method=address, rank=0, world_size=1)
    yield dist.group.WORLD
    dist.destroy_process_group()


@pytest.fixture
def sent(monkeypatch):
    """Elements of each all-reduce that a hook asks for, in their order."""
    found = []
    all_reduce = dist.all_reduce

    def recorded(tensor, *arguments, **options):
        found.append(tensor.numel())
        return all_reduce(tensor, *arguments, **options)

    monkeypatch.setattr(dist, "all_reduce", recorded)
    return found


def third_step(mode, options, group):
    """Do three steps; DDP makes its buckets anew after the first. Yields before the last one."""
    profile = read_profile(shipped("resnet50"))
    emulation = Emulation(100e9, byte_scale=BYTE_SCALE, time_scale=0.1)
    computing = ProfileComputing(profile, emulation, rank=0, ranks=1, seed=1)
    steps = reducing.DdpReducing(  # the delay makes DDP's own all-reduce a hook's
        computing, mode, options, group=group, byte_scale=BYTE_SCALE, delay_seconds=1e-6
    )
    for _ in range(2):
        steps.step()
        computing.update()
    yield
    steps.step()


@pytest.mark.parametrize("bucket_mb", [None, 10.0])
def test_one_element_stands_for_each_bucket(bucket_mb, group, sent):
    """As many sends with one element each as with whole gradients; without exchange none."""
    elements = {}
    for mode in ("full", "tiny", "local"):
        for _ in third_step(mode, Options(bucket_mb=bucket_mb), group):
            sent.clear()
        elements[mode] = [*sent]
    profile = read_profile(shipped("resnet50"))
    wanted = ddp_buckets(profile.gradients, bucket_mb and bucket_mb * MIB)
    assert len(elements["full"]) == len(wanted) > 2
    assert 4 * sum(elements["full"]) == pytest.approx(profile.gradient_bytes / BYTE_SCALE, rel=0.01)
    assert elements["tiny"] == [1] * len(wanted)
    assert elements["local"] == []
