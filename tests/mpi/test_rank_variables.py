"""Run inside the image under mpirun: ``mpirun -n 2 python -m pytest --with-mpi tests/mpi``."""

import os

import pytest

MPI = pytest.importorskip("mpi4py.MPI", reason="mpi4py is in the torch image only")

pytestmark = pytest.mark.mpi

under_launch = pytest.mark.skipif(
    "MPIJOB_INSIDE" not in os.environ, reason="not started through mpijob-runtime launch"
)


@pytest.fixture
def world():
    """Return the communicator of all ranks."""
    return MPI.COMM_WORLD


@under_launch
def test_torchs_rank_is_mpis(world):
    """RANK and WORLD_SIZE are what MPI itself says."""
    assert int(os.environ["RANK"]) == world.Get_rank()
    assert int(os.environ["WORLD_SIZE"]) == world.Get_size()


@under_launch
def test_torchs_local_rank_is_the_one_on_this_host(world):
    """LOCAL_RANK and LOCAL_WORLD_SIZE count the ranks that share this host's memory."""
    local = world.Split_type(MPI.COMM_TYPE_SHARED)
    assert int(os.environ["LOCAL_RANK"]) == local.Get_rank()
    assert int(os.environ["LOCAL_WORLD_SIZE"]) == local.Get_size()
    local.Free()


@under_launch
def test_all_ranks_agree_on_the_master(world):
    """MASTER_ADDR and MASTER_PORT are set, and the same everywhere."""
    mine = (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"])
    assert all(mine)
    assert world.allgather(mine) == [mine] * world.Get_size()


def test_a_sum_over_all_ranks_is_right(world):
    """Messages arrive: the sum of the ranks is known."""
    size = world.Get_size()
    assert world.allreduce(world.Get_rank()) == size * (size - 1) // 2


@pytest.mark.mpi(min_size=2)
def test_ranks_are_not_each_alone(world):
    """Under ``mpirun -n 2`` there is one world of two, not two worlds of one."""
    expected = int(os.environ["OMPI_COMM_WORLD_SIZE"])
    assert expected == world.Get_size()
    assert world.Get_size() >= 2


@pytest.mark.mpi(min_size=2)
def test_a_message_passes_around_the_ring(world):
    """Each rank hears from its neighbour."""
    rank, size = world.Get_rank(), world.Get_size()
    found = world.sendrecv(rank, dest=(rank + 1) % size, source=(rank - 1) % size)
    assert found == (rank - 1) % size
