import os
import stat

import pytest

from mpijob_local.kubelet import (
    Ownership,
    hosts_text,
    make_empty_dir,
    write_projection,
    write_termination_log,
)
from mpijob_local.pod import Item

ROOT = os.geteuid() == 0
ITEMS = (Item("key", "id_rsa", 0o600), Item("pub", "id_rsa.pub"))
DATA = {"key": b"secret", "pub": b"public"}


def mode(path):
    """Return the permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def write(volume, fs_group=None, data=DATA):
    """Write a secret volume."""
    owner = Ownership(fs_group, privileged=ROOT)
    write_projection(volume, ITEMS, data, owner=owner, volume_mode=0o1777)


def test_projection_is_laid_out_like_the_kubelets(tmp_path):
    """Names point through ..data into a directory that is named after the time."""
    write(tmp_path / "v")

    assert (tmp_path / "v/id_rsa").readlink().as_posix() == "..data/id_rsa"
    payload = (tmp_path / "v/..data").readlink().as_posix()
    assert payload.startswith("..20")
    assert (tmp_path / "v/id_rsa").read_bytes() == b"secret"
    assert {it.name for it in (tmp_path / "v").iterdir()} == {
        "id_rsa",
        "id_rsa.pub",
        "..data",
        payload,
    }


def test_modes_without_fs_group(tmp_path):
    """Without fsGroup the modes are those of the items; the volume is world-writable, sticky."""
    write(tmp_path / "v")

    assert mode(tmp_path / "v") == 0o1777
    assert mode(tmp_path / "v/..data") == 0o755
    assert mode(tmp_path / "v/id_rsa") == 0o600
    assert mode(tmp_path / "v/id_rsa.pub") == 0o644


@pytest.mark.skipif(not ROOT, reason="only root can give files to a group")
def test_modes_with_fs_group(tmp_path):
    """The kubelet's fsGroup adds the group and its right to read: 0600 becomes 0640."""
    write(tmp_path / "v", fs_group=2000)

    assert mode(tmp_path / "v/id_rsa") == 0o640
    assert (tmp_path / "v/id_rsa").stat().st_gid == 2000
    assert (tmp_path / "v/id_rsa").stat().st_uid == 0
    assert mode(tmp_path / "v") == 0o3777


def test_update_replaces_all_files_at_once(tmp_path):
    """An update swaps ..data and leaves nothing of the old content."""
    write(tmp_path / "v")
    before = (tmp_path / "v/..data").readlink()

    write(tmp_path / "v", data={"key": b"new", "pub": b"public"})

    assert (tmp_path / "v/id_rsa").read_bytes() == b"new"
    assert not (tmp_path / "v" / before).exists()


def test_empty_dir(tmp_path):
    """Everybody may write into an emptyDir and the directories of its subPaths."""
    owner = Ownership(None, privileged=ROOT)

    make_empty_dir(tmp_path / "v", owner=owner, sub_paths=["", "a/b"])

    assert mode(tmp_path / "v") == 0o777
    assert mode(tmp_path / "v/a/b") == 0o777


@pytest.mark.skipif(not ROOT, reason="only root can give files to a group")
def test_empty_dir_with_fs_group(tmp_path):
    """With fsGroup an emptyDir hands its group to what is made in it."""
    make_empty_dir(tmp_path / "v", owner=Ownership(2000, privileged=True))

    assert mode(tmp_path / "v") == 0o2777
    assert (tmp_path / "v").stat().st_gid == 2000


def test_termination_log(tmp_path):
    """Every user may write the termination log."""
    write_termination_log(tmp_path / "pod" / "log")

    assert mode(tmp_path / "pod" / "log") == 0o666


def test_hosts():
    """The pod finds itself under its full and its short name."""
    text = hosts_text("10.1.0.2", hostname="pi-worker-0", subdomain="pi", namespace="team")

    assert text.startswith("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n")
    assert text.endswith("10.1.0.2\tpi-worker-0.pi.team.svc.cluster.local\tpi-worker-0\n")
