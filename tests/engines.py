"""Fixtures for tests that need the built images: podman, and each Open MPI generation."""

import os

import pytest

from mpijob_local.machine import podman_for
from mpijob_local.settings import LocalSettings

VERSIONS = os.environ.get("MPIJOB_TEST_OPEN_MPI", "4.1 5.0").split()


@pytest.fixture(scope="session")
def podman():
    """Return podman as mpijob-local runs it."""
    return podman_for(LocalSettings.from_environ(os.environ))[0]


@pytest.fixture(scope="session", params=VERSIONS)
def open_mpi(request):
    """Return each Open MPI generation in turn."""
    return request.param


@pytest.fixture(scope="session")
def image(open_mpi, podman):
    """Return the runtime image for an Open MPI generation."""
    return existing_image(podman, f"mpijob-runtime:runtime-ompi{open_mpi}")


def existing_image(podman, name):
    """Return the name of an image, or fail with the command that builds it."""
    if podman.run("image", "exists", name, accept=(0, 1)).exit_code:
        pytest.fail(f"no image {name}: make test builds it, and so does mpijob-local build")
    return name
