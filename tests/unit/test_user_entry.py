import os

import pytest

from mpijob_runtime import user_entry
from mpijob_runtime.errors import ConfigurationError
from mpijob_runtime.facts import UserFacts
from mpijob_runtime.probes.system import probe_user
from mpijob_runtime.user_entry import ensure_user_entry, format_entry

NAMELESS = UserFacts(1000650000, 0, None, None, None)


@pytest.mark.parametrize(
    ("uid", "gid", "home", "expected"),
    [
        (1000650000, 1000, "/home/u", "mpiuser:x:1000650000:1000:MPI job:/home/u:/bin/sh\n"),
        (1000650000, 0, "/home/u", "mpiuser:x:1000650000:65534:MPI job:/home/u:/bin/sh\n"),
        (700, 700, "relative", "mpiuser:x:700:700:MPI job:/:/bin/sh\n"),
        (700, 700, "/a:0:0:root", "mpiuser:x:700:700:MPI job:/:/bin/sh\n"),
        (700, 700, "/a\nroot::0:0:::", "mpiuser:x:700:700:MPI job:/:/bin/sh\n"),
    ],
    ids=["plain", "group 0", "relative home", "colon in home", "newline in home"],
)
def test_an_entry_is_one_safe_line(uid, gid, home, expected):
    """A home from the environment cannot add fields or lines."""
    assert expected == format_entry(uid, gid, home)


@pytest.mark.parametrize("shell", ["/bin/bash", ""])
def test_a_user_that_can_log_in_is_left_alone(shell, tmp_path, monkeypatch):
    """Nothing is written for a user that sshd knows."""
    monkeypatch.setattr(user_entry, "EXTRA_USERS", str(tmp_path))
    user = UserFacts(1000, 1000, "mpiuser", "/home/mpiuser", shell)
    assert ensure_user_entry(user, home="/") is user
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "user", [NAMELESS, UserFacts(1000650000, 0, "u", "/", "/sbin/nologin")], ids=["none", "nologin"]
)
def test_a_user_that_cannot_log_in_gets_an_entry(user, tmp_path, monkeypatch):
    """A random UID and CRI-O's nologin entry both get a line, readable for all."""
    monkeypatch.setattr(user_entry, "EXTRA_USERS", str(tmp_path / "extrausers"))
    found = ensure_user_entry(user, home="/home/u")
    written = tmp_path / "extrausers" / "passwd"
    assert found == probe_user()
    assert written.read_text() == format_entry(user.uid, user.gid, "/home/u")
    assert os.stat(written).st_mode & 0o777 == 0o644
    assert os.listdir(tmp_path / "extrausers") == ["passwd"]


def test_a_low_uid_cannot_be_added():
    """libnss-extrausers would not show it: 78 with the remedy."""
    user = UserFacts(33, 33, "www", "/", "/usr/sbin/nologin")
    with pytest.raises(ConfigurationError, match="login shell /usr/sbin/nologin") as caught:
        ensure_user_entry(user, home=None)
    assert "500" in caught.value.remedy


def test_a_place_that_cannot_be_written_is_said(tmp_path, monkeypatch):
    """A read-only image without a link into memory ends with 78."""
    (tmp_path / "file").touch()
    monkeypatch.setattr(user_entry, "EXTRA_USERS", str(tmp_path / "file" / "x"))
    with pytest.raises(ConfigurationError, match="no entry in the user database"):
        ensure_user_entry(NAMELESS, home=None)


def test_an_entry_that_nobody_reads_is_said(tmp_path, monkeypatch):
    """Without libnss-extrausers in nsswitch.conf the entry does not help, and that is said."""
    monkeypatch.setattr(user_entry, "EXTRA_USERS", str(tmp_path))
    monkeypatch.setattr(user_entry, "probe_user", lambda: NAMELESS)
    with pytest.raises(ConfigurationError, match=r"nsswitch\.conf"):
        ensure_user_entry(NAMELESS, home=None)
