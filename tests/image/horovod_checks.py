"""What every rank checks of Horovod; test_horovod.py runs this on four ranks in the image."""

import sys

import horovod.torch as hvd
import torch

RANKS = 4
SAMPLES, FEATURES, STEPS = 64, 10, 20


def check_builds():
    """MPI and Gloo are in, and MPI has told the ranks apart."""
    assert hvd.mpi_built()
    assert hvd.gloo_built()
    assert hvd.mpi_enabled()
    assert hvd.size() == RANKS
    assert hvd.allgather(torch.tensor([hvd.rank()])).tolist() == list(range(RANKS))


def check_allreduce():
    """Small whole numbers and their mean are exact in any order of addition."""
    for dtype in (torch.float32, torch.float64, torch.float16):
        mine = torch.full((1000,), hvd.rank() + 1, dtype=dtype)
        assert (hvd.allreduce(mine, op=hvd.Sum) == 10).all()
        assert (hvd.allreduce(mine, op=hvd.Average) == 2.5).all()


def check_optimizer():
    """The mean of four shards' gradients is the whole batch's: the same weights after 20 steps.

    In float64 a sum of 64 terms in another order differs by some 1e-15, relatively; 20 steps with
    momentum leave that below 1e-12.
    """
    torch.manual_seed(7)
    x = torch.randn(SAMPLES, FEATURES, dtype=torch.float64)
    y = torch.randn(SAMPLES, 1, dtype=torch.float64)
    expected = trained(x, y)
    shard = slice(hvd.rank(), None, RANKS)
    found = trained(x[shard], y[shard], distributed=True)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    alone = trained(x[shard], y[shard])
    assert not torch.allclose(alone[0], expected[0], rtol=1e-3)  # the shards do differ


def trained(x, y, *, distributed=False):
    """Return the weights of a small network after some steps."""
    torch.manual_seed(8)
    network = torch.nn.Sequential(
        torch.nn.Linear(FEATURES, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)
    ).double()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    if distributed:
        optimizer = hvd.DistributedOptimizer(optimizer, network.named_parameters())
        hvd.broadcast_parameters(network.state_dict(), root_rank=0)
        hvd.broadcast_optimizer_state(optimizer, root_rank=0)
    for _ in range(STEPS):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(network(x), y).backward()
        optimizer.step()
    return [parameter.detach() for parameter in network.parameters()]


def check_compression():
    """The fp16 compressor sends half the bits: a tenth comes back as float16 has it."""
    tenth = torch.full((100,), 0.1)
    found = hvd.allreduce(tenth, compression=hvd.Compression.fp16)
    assert found.dtype is torch.float32
    assert (found == tenth.half().float()).all()
    assert (found != tenth).all()


def check_what_is_missing():
    """What Horovod cannot do on CPUs is an error, not a wrong number (docs/horovod.md)."""
    for dtype in (torch.bfloat16, torch.uint8):
        try:
            found = hvd.allreduce(torch.ones(4, dtype=dtype), op=hvd.Sum)
        except (ValueError, RuntimeError, TypeError):
            continue
        raise AssertionError(f"allreduce of {dtype} gave {found}: docs/horovod.md says it cannot")
    try:
        hvd.SyncBatchNorm(3)(torch.ones(2, 3, 4))
    except ValueError:
        return
    raise AssertionError("SyncBatchNorm works on CPUs: docs/horovod.md says it does not")


if __name__ == "__main__":
    hvd.init()
    check_builds()
    check_allreduce()
    check_optimizer()
    check_compression()
    check_what_is_missing()
    sys.stdout.write(f"rank {hvd.rank()} of {hvd.size()}: all checks passed\n")
