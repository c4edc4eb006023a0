"""The directory of Open MPI's sessions."""

import os

import pytest

from mpijob_runtime.agent.sessions import keep_session_directories

NAME = f"ompi.{os.uname().nodename}.{os.geteuid()}"


def test_the_directory_stays_when_open_mpi_has_removed_what_it_can(tmp_path):
    """Open MPI removes it only if it is empty; a second agent finds it as it is."""
    keep_session_directories((str(tmp_path),))
    keep_session_directories((str(tmp_path),))

    place = tmp_path / NAME
    with pytest.raises(OSError, match="not empty"):
        place.rmdir()
    assert oct(place.stat().st_mode & 0o777) == "0o700"


def test_a_place_that_cannot_be_written_is_left_to_open_mpi(tmp_path):
    """The other place is made all the same."""
    keep_session_directories((str(tmp_path / "missing"), str(tmp_path)))
    assert (tmp_path / NAME).is_dir()
