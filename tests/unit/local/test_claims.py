import os
import stat
from pathlib import Path

import pytest
from manifests import LAUNCHER_POD, WORKER_POD, job

from mpijob_local.claims import parse_claims, prepare_claims
from mpijob_local.layout import lay_out
from mpijob_runtime.errors import ConfigurationError, UsageError

ROOT = os.geteuid() == 0
CLAIM = {"name": "data", "persistentVolumeClaim": {"claimName": "c"}}


def pods(*mounts, security=None, claim=CLAIM):
    """Return the pods of a job whose launcher and workers have mounts of one claim."""
    changes = []
    for pod in (LAUNCHER_POD, WORKER_POD):
        changes += [
            (f"{pod}.volumes", [claim]),
            (f"{pod}.containers.volumeMounts", [{"name": "data", **mount} for mount in mounts]),
            (f"{pod}.securityContext", security or {}),
        ]
    return lay_out(job(*changes)).pods


def mode(path):
    """Return the permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_parse(tmp_path, monkeypatch):
    """A relative directory counts from where one stands; it need not be there."""
    monkeypatch.chdir(tmp_path)

    assert parse_claims(["a-1=./x", "b.c=/y=z"]) == {
        "a-1": tmp_path / "x",
        "b.c": Path("/y=z"),
    }


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["a"], "'a'"),
        (["a="], "'a='"),
        (["=/x"], "'=/x'"),
        (["A=/x"], "'A=/x'"),
        (["a=/x", "a=/y"], "twice"),
        ([f"a={__file__}"], "is no directory"),
    ],
)
def test_wrong_claims(texts, found):
    """A pair that is none, a name twice, or a file instead of a directory is refused."""
    with pytest.raises(UsageError, match=found):
        parse_claims(texts)


def test_a_missing_directory_is_made_for_all(tmp_path):
    """What is made, also for a subPath, may be written by every user; nothing is doubtful."""
    made = pods({"mountPath": "/d", "subPath": "a/b"})

    assert not list(prepare_claims(made, {"c": tmp_path / "new" / "claim"}))

    assert [mode(tmp_path / "new/claim" / it) for it in ("", "a", "a/b")] == [0o777] * 3


@pytest.mark.skipif(not ROOT, reason="only root can give files to a group")
def test_fs_group_owns_what_is_made(tmp_path):
    """With fsGroup a new directory has its group and hands it on."""
    list(
        prepare_claims(pods({"mountPath": "/d"}, security={"fsGroup": 2000}), {"c": tmp_path / "n"})
    )

    assert (mode(tmp_path / "n"), (tmp_path / "n").stat().st_gid) == (0o2777, 2000)


def test_what_is_there_stays_as_it_is(tmp_path):
    """A directory of the user's keeps mode and files, and that pods may not write is said once."""
    (tmp_path / "file").touch(0o600)
    tmp_path.chmod(0o750)

    (doubt,) = prepare_claims(pods({"mountPath": "/d"}), {"c": tmp_path})

    assert "stays so" in doubt
    assert "0750" in doubt
    assert mode(tmp_path) == 0o750
    assert mode(tmp_path / "file") == 0o600


@pytest.mark.skipif(not ROOT, reason="owners differ under a user's own name space")
@pytest.mark.parametrize(
    ("owner", "permissions", "security", "read_only", "doubts"),
    [
        ((7, 7), 0o777, {}, False, 0),
        ((7, 7), 0o755, {}, False, 1),
        ((7, 7), 0o755, {}, True, 0),
        ((7, 7), 0o755, {"runAsUser": 7}, False, 0),
        ((7, 7), 0o755, {"runAsUser": 0}, False, 0),
        ((7, 7), 0o775, {"runAsUser": 8}, False, 1),
        ((7, 7), 0o775, {"runAsUser": 8, "fsGroup": 7}, False, 0),
        ((7, 7), 0o766, {"runAsUser": 8}, False, 1),
        ((7, 0), 0o775, {"runAsUser": 12345}, False, 0),
    ],
)
def test_who_may_write(tmp_path, owner, permissions, security, read_only, doubts):
    """Owner, group (fsGroup, or the 0 of random UIDs) and mode decide whether to warn."""
    os.chown(tmp_path, *owner)
    tmp_path.chmod(permissions)
    mounted = pods({"mountPath": "/d", "readOnly": read_only}, security=security)

    assert len(list(prepare_claims(mounted, {"c": tmp_path}))) == doubts


def test_a_sub_path_stays_inside(tmp_path):
    """A symbolic link that an earlier pod has left cannot lead a mount out of the claim."""
    (tmp_path / "claim").mkdir()
    (tmp_path / "claim/out").symlink_to("/etc")

    with pytest.raises(ConfigurationError, match="leads out"):
        list(prepare_claims(pods({"mountPath": "/d", "subPath": "out"}), {"c": tmp_path / "claim"}))


def test_a_directory_that_cannot_be_made(tmp_path):
    """A file in the way is an error with its path."""
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match="cannot make"):
        list(prepare_claims(pods({"mountPath": "/d"}), {"c": tmp_path / "file" / "claim"}))


def test_a_claims_own_read_only_holds_for_its_mounts():
    """A volume's readOnly makes every mount of it read-only."""
    claim = {"name": "data", "persistentVolumeClaim": {"claimName": "c", "readOnly": True}}

    mounts = pods({"mountPath": "/d"}, claim=claim)[0].mounts

    assert {it.volume: it.read_only for it in mounts}["data"]
