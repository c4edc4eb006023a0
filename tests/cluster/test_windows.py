"""One-sided communication over TCP, with mpi4py and no setting of the user's."""

import pytest
from engines import existing_image
from jobs import Job, run_job

pytestmark = pytest.mark.cluster

# Each rank adds 10 to the next one's number in a window, by whoever's turn it is.
ADD = """
import array, sys
import mpi4py
mpi4py.rc.thread_level = sys.argv[1]
from mpi4py import MPI
world = MPI.COMM_WORLD
window = MPI.Win.Allocate(8, 8, comm=world)
mine = window.tomemory().cast("d")
mine[0] = world.rank
world.Barrier()
there = (world.rank + 1) % world.size
window.Lock(there)
window.Accumulate(array.array("d", [10.0]), there, op=MPI.SUM)
window.Unlock(there)
world.Barrier()
window.Lock(world.rank)
print(f"rank {world.rank}, {sys.argv[1]}: {mine[0]}")
window.Unlock(world.rank)
window.Free()
"""
LEVELS = ("serialized", "multiple")


@pytest.fixture
def test_image(open_mpi, podman):
    """Return the image that has mpi4py and little else."""
    return existing_image(podman, f"mpijob-runtime:test-ompi{open_mpi}")


def test_windows_work_over_tcp_and_say_nothing(test_image, tmp_path):
    """Debian's 4.1 leaves no way for them, 5.0 complains of UCX on every rank; not so here."""
    launch = 'mpijob-runtime launch --quiet --output plain -- python -c "$0"'
    script = " && ".join(f"{launch} {level}" for level in LEVELS)

    ended = run_job(Job("windows", test_image, ("bash", "-c", script, ADD)), tmp_path, "--quiet")

    assert ended.exit_code == 0, ended.text
    expected = {f"rank {rank}, {level}: 1{rank}.0" for rank in (0, 1) for level in LEVELS}
    assert set(ended.stdout.splitlines()) == expected
    assert "OSC" not in ended.text
