import os
import stat

import pytest

from mpijob_runtime.credentials import copy_key, read_authorized_keys
from mpijob_runtime.environ import Paths
from mpijob_runtime.errors import ConfigurationError
from mpijob_runtime.facts import KeyFacts, UserFacts

USER = UserFacts(1000, 1000, "mpiuser", "/home/mpiuser", "/bin/sh")


def key_at(directory, *, owner=0, mode=0o644, readable=True):
    """Return the facts of a key named as the operators name it."""
    return KeyFacts(f"{directory}/id_rsa", str(directory), owner, mode, readable)


@pytest.mark.parametrize("text", ["KEY\n", "KEY"])
def test_the_copy_is_private_and_ends_in_a_newline(text, tmp_path):
    """Ssh refuses a key of ours that others can read, and one without a last newline."""
    (tmp_path / "id_rsa").write_text(text)
    (tmp_path / "run").mkdir()
    found = copy_key(key_at(tmp_path), USER, Paths(f"{tmp_path}/run"))
    with open(found, encoding="utf-8") as file:
        assert file.read() == "KEY\n"
    assert stat.S_IMODE(os.stat(found).st_mode) == 0o600


def test_no_key_is_refused_with_the_places_and_the_remedy():
    """Without a key the error says where one was looked for."""
    with pytest.raises(ConfigurationError, match=r"MPIJOB_SSH_DIR, ~/\.ssh, /root/\.ssh") as caught:
        copy_key(None, USER, Paths("/r"))
    assert caught.value.exit_code == 78
    assert "sshAuthMountPath" in caught.value.remedy


@pytest.mark.parametrize(
    ("owner", "mode", "words"),
    [(0, 0o600, "owner 0, mode 0600"), (None, None, "a closed directory")],
)
def test_an_unreadable_key_is_refused_with_owner_mode_and_remedy(owner, mode, words):
    """A root-owned 0600 key for a non-root user cannot work: 78 and what to change."""
    key = key_at("/root/.ssh", owner=owner, mode=mode, readable=False)
    with pytest.raises(ConfigurationError) as caught:
        copy_key(key, USER, Paths("/r"))
    assert f"/root/.ssh/id_rsa: found {words}, wanted a key that UID 1000" in str(caught.value)
    assert "fsGroup" in caught.value.remedy


@pytest.mark.parametrize(("mode", "moves"), [(0o600, True), (0o640, False), (0o440, False)])
def test_the_remedy_is_one_that_helps(mode, moves):
    """Trainer's key is 0640 at any path: another path is no cure; mpi-operator's 0600 is one."""
    key = key_at("/root/.ssh", owner=0, mode=mode, readable=False)
    with pytest.raises(ConfigurationError) as caught:
        copy_key(key, USER, Paths("/r"))
    assert "fsGroup" in caught.value.remedy
    assert ("sshAuthMountPath" in caught.value.remedy) == moves


def test_a_key_that_vanished_is_refused(tmp_path):
    """Between the probe and the copy the kubelet may have swapped the secret."""
    with pytest.raises(ConfigurationError):
        copy_key(key_at(tmp_path), USER, Paths(str(tmp_path)))


@pytest.mark.parametrize("name", ["authorized_keys", "id_rsa.pub", "ssh-publickey"])
def test_the_public_keys_beside_the_private_one_are_read(name, tmp_path):
    """The operator's secret has authorized_keys; other secrets have the public key."""
    (tmp_path / name).write_text("ssh-rsa AAAA\n")
    assert read_authorized_keys(key_at(tmp_path)) == "ssh-rsa AAAA\n"


@pytest.mark.parametrize("text", [None, "", "  \n"])
def test_no_public_keys_are_nothing(text, tmp_path):
    """An empty file counts as none; the worker then asks ssh-keygen."""
    if text is not None:
        (tmp_path / "authorized_keys").write_text(text)
    assert read_authorized_keys(key_at(tmp_path)) == ""
