import os
import stat

import pytest

from mpijob_runtime.errors import ConfigurationError
from mpijob_runtime.private_files import make_run_dir, write_private


def mode(path):
    """Return a path's permission bits."""
    return stat.S_IMODE(os.stat(path).st_mode)


def test_the_run_directory_is_ours_alone(tmp_path):
    """It is made with its parents, mode 0700, whatever the umask."""
    path = tmp_path / "a" / "run"
    former = os.umask(0)
    try:
        make_run_dir(str(path))
    finally:
        os.umask(former)
    assert mode(path) == 0o700


def test_an_existing_run_directory_is_closed(tmp_path):
    """One of ours that others can read is corrected, and its files stay."""
    path = tmp_path / "run"
    path.mkdir(mode=0o755)
    (path / "kept").touch()
    make_run_dir(str(path))
    assert mode(path) == 0o700
    assert (path / "kept").exists()


def test_a_link_is_no_run_directory(tmp_path):
    """Somebody else's link in a shared place must not lead our key elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="wanted our own directory") as caught:
        make_run_dir(str(tmp_path / "run"))
    assert caught.value.exit_code == 78
    assert "MPIJOB_RUN_DIR" in caught.value.remedy


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_somebody_else_is_no_run_directory(tmp_path):
    """A directory that another user made in a shared place is refused."""
    path = tmp_path / "run"
    path.mkdir()
    os.chown(path, 65534, 65534)
    with pytest.raises(ConfigurationError, match="found an entry of user 65534"):
        make_run_dir(str(path))


@pytest.mark.parametrize("below", ["", "run"])
def test_a_place_that_cannot_be_made_is_said(below, tmp_path):
    """A file in the way ends with 78, the path and why."""
    (tmp_path / "file").touch()
    path = os.path.join(tmp_path, "file", below).rstrip("/")
    with pytest.raises(ConfigurationError, match="cannot make the directory"):
        make_run_dir(path)


def test_a_private_file_is_for_its_owner_alone(tmp_path):
    """Mode 0600 whatever the umask, over an open older file, nothing beside it."""
    path = tmp_path / "key"
    path.write_text("old")
    path.chmod(0o644)
    former = os.umask(0)
    try:
        write_private(str(path), "néw\n")
    finally:
        os.umask(former)
    assert mode(path) == 0o600
    assert path.read_text(encoding="utf-8") == "néw\n"
    assert os.listdir(tmp_path) == ["key"]


def test_a_private_file_that_cannot_be_written_is_said(tmp_path):
    """A missing directory ends with 78, the path and why."""
    path = str(tmp_path / "missing" / "key")
    with pytest.raises(ConfigurationError, match="cannot write: No such file") as caught:
        write_private(path, "x")
    assert path in str(caught.value)
