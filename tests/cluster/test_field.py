"""What published manifests, guides and bug reports do in a launcher, on both Open MPIs."""

import pytest
from engines import existing_image
from field.catalogue import ROWS
from field.run import run_rows

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]


def test_every_row_ends_as_its_users_expect(podman, open_mpi, tmp_path):
    """One job whose launcher does everything that the catalogue has."""
    image = existing_image(podman, f"mpijob-runtime:horovod-ompi{open_mpi}")
    verdicts = run_rows(ROWS, open_mpi, image, tmp_path)

    assert {it.row.name: it.wrong for it in verdicts if it.wrong} == {}
    assert len(verdicts) == len(ROWS)
