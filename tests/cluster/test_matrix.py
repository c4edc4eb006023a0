"""A part of ``make matrix``: both operators, each user, keys that can and that cannot be read."""

import pytest
from engines import existing_image
from operator_matrix.__main__ import run_cell
from operator_matrix.cells import FS_GROUP, HOME_PATH, ROOT_PATH, USERS, Cell

pytestmark = pytest.mark.cluster

ROOT, MPIUSER, RANDOM = USERS
PART = (
    ("mpi-operator", ROOT, ROOT_PATH, None),
    ("mpi-operator", MPIUSER, ROOT_PATH, None),
    ("mpi-operator", RANDOM, HOME_PATH, FS_GROUP),
    ("trainer", ROOT, HOME_PATH, None),
    ("trainer", MPIUSER, HOME_PATH, None),
    ("trainer", RANDOM, ROOT_PATH, FS_GROUP),
)


@pytest.mark.parametrize(
    "axes", PART, ids=[f"{it[0]}-{it[1].uid}-{it[2].split('/')[1]}" for it in PART]
)
def test_a_cell_ends_as_the_keys_mode_demands(axes, podman, open_mpi):
    """A job runs on both workers, or ends with 78 and its remedy; never otherwise."""
    operator, user, ssh_path, fs_group = axes
    image = existing_image(podman, f"mpijob-example:pi-ompi{open_mpi}")
    cell = Cell(operator, open_mpi, user, ssh_path, fs_group)

    assert run_cell(cell, "cell", image).wrong == ""
