import os

import pytest

from mpijob_runtime import run_dir
from mpijob_runtime.run_dir import choose_run_dir

NAME = f"mpijob-{os.geteuid()}-{os.uname().nodename}"


def test_the_given_directory_is_taken():
    """MPIJOB_RUN_DIR decides."""
    assert choose_run_dir("/x/y") == "/x/y"


@pytest.mark.parametrize("given", [None, ""])
def test_memory_comes_before_the_disk(given, tmp_path, monkeypatch):
    """Without one, the first place that can be written is taken, with user's id and host."""
    places = (str(tmp_path / "missing"), str(tmp_path))
    monkeypatch.setattr(run_dir, "_PLACES", places)
    assert choose_run_dir(given) == f"{tmp_path}/{NAME}"


def test_without_any_place_the_last_is_named(tmp_path, monkeypatch):
    """Somebody must say that it cannot be made: a path is returned all the same."""
    monkeypatch.setattr(run_dir, "_PLACES", (f"{tmp_path}/a", f"{tmp_path}/b"))
    assert choose_run_dir(None) == f"{tmp_path}/b/{NAME}"


def test_the_usual_places_are_memory_then_tmp():
    """A key does not belong on a disk if memory will do."""
    assert run_dir._PLACES == ("/dev/shm", "/tmp")
