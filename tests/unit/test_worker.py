import os
import subprocess

import pytest

from mpijob_runtime import worker
from mpijob_runtime.errors import ConfigurationError
from mpijob_runtime.host_key import read_public_key
from mpijob_runtime.settings import Settings
from mpijob_runtime.worker import (
    only_asks,
    prepare_worker,
    read_sshd_version,
    runs_in_foreground,
)


def make_key(path, *options):
    """Make a key pair and return the private key's path."""
    subprocess.run(["ssh-keygen", "-q", *options, "-f", path], check=True)
    return str(path)


@pytest.fixture(scope="session")
def key_dir(tmp_path_factory):
    """Return a directory with a P-521 key under the operators' name."""
    directory = tmp_path_factory.mktemp("key")
    make_key(directory / "id_rsa", "-t", "ecdsa", "-b", "521", "-N", "")
    (directory / "id_rsa.pub").unlink()
    return directory


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("-De",), True),
        (("-D",), True),
        (("-eD",), True),
        (("-e", "-D"), True),
        (("-De", "-f", "/home/mpiuser/.sshd_config"), True),
        (("-e",), False),
        ((), False),
        (("-fD",), False),
        (("-f", "/D"), False),
        (("-oD=1",), False),
        (("-p2222D",), False),
    ],
)
def test_sshd_in_the_foreground_is_recognised(arguments, expected):
    """-D counts alone or among other switches, not inside another switch's value."""
    assert expected == runs_in_foreground(arguments)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("-t",), True),
        (("-T",), True),
        (("-TC", "user=x"), True),
        (("-t", "-f", "/x"), True),
        (("-V",), True),
        (("-G",), True),
        (("-De",), False),
        ((), False),
        (("-ft",), False),
        (("-p", "22"), False),
    ],
)
def test_a_question_to_sshd_is_recognised(arguments, expected):
    """Questions are for the real sshd, byte for byte."""
    assert expected == only_asks(arguments)


def test_no_sshd_is_78(monkeypatch):
    """An image without openssh-server says so."""
    monkeypatch.setattr(worker, "SSHD", "/nowhere/a")
    monkeypatch.setattr(worker, "_PLAIN_SSHD", "/nowhere/b")
    with pytest.raises(ConfigurationError, match="no sshd: found none at /nowhere/a or /nowhere/b"):
        worker.find_sshd()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("echo OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.19 27 Jan 2026 >&2", (9, 2)),
        ("echo OpenSSH_10.0p2, OpenSSL 3.5.1 1 Jul 2025 >&2", (10, 0)),
        ("echo unknown option -- V >&2; echo OpenSSH_8.9p1, OpenSSL 3.0.2 >&2; exit 1", (8, 9)),
        ("echo something else", (0, 0)),
    ],
)
def test_sshd_says_its_version(words, expected, tmp_path):
    """Old ones do not know the question and answer all the same."""
    sshd = tmp_path / "sshd"
    sshd.write_text(f"#!/bin/sh\n{words}\n")
    sshd.chmod(0o755)
    assert read_sshd_version(str(sshd)) == expected


def test_the_diverted_sshd_comes_first(monkeypatch):
    """Behind our shim the real one has another path."""
    monkeypatch.setattr(worker, "SSHD", "/bin/sh")
    assert worker.find_sshd() == "/bin/sh"


@pytest.mark.skipif(os.geteuid() != 0, reason="the test machine's user must be able to log in")
def test_a_prepared_worker_has_private_files_and_the_command(key_dir, tmp_path, monkeypatch):
    """The key is copied, who may log in is written, and the user's sshd arguments come first."""
    monkeypatch.setattr(worker, "SSHD", "/bin/true")
    run = tmp_path / "run"
    environ = {
        "MPIJOB_SSH_DIR": str(key_dir),
        "MPIJOB_RUN_DIR": str(run),
        "MPIJOB_SSH_PORT": "2345",
        "MPIJOB_HOST_NAMES": "some.name",
        "PATH": "/opt/venv/bin:/usr/bin",
        "LD_LIBRARY_PATH": 'odd"path',
    }
    argv = prepare_worker(Settings.from_environ(environ), ("-De", "-f", "/x"))
    public = read_public_key(str(key_dir / "id_rsa"))
    assert argv[:4] == ("/bin/true", "-De", "-f", "/x")
    assert "Port=2345" in argv
    session = (
        f'"MPIJOB_RUN_DIR={run}" "PATH=/opt/venv/bin:/usr/bin" "MPIJOB_HOST_NAMES=some.name"'
        f' "MPIJOB_SSH_DIR={key_dir}" "MPIJOB_SSH_PORT=2345"'
    )
    assert f"SetEnv={session}" in argv
    assert (run / "authorized_keys").read_text() == f"{public}\n"
    assert (run / "id").read_text() == (key_dir / "id_rsa").read_text()
    assert (run / "worker.pid").read_text() == str(os.getpid())
    assert f"HostKey={run}/host_key" in argv
    assert (run / "host_key").read_text() != (run / "id").read_text()
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in run.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="the test machine's user must be able to log in")
def test_the_operators_authorized_keys_are_taken_as_they_are(key_dir, monkeypatch, tmp_path):
    """What the secret says about who may log in holds."""
    monkeypatch.setattr(worker, "SSHD", "/bin/true")
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "id_rsa").write_text((key_dir / "id_rsa").read_text())
    (keys / "authorized_keys").write_text("ssh-rsa AAAA a\nssh-rsa BBBB b\n")
    environ = {"MPIJOB_SSH_DIR": str(keys), "MPIJOB_RUN_DIR": str(tmp_path / "run")}
    prepare_worker(Settings.from_environ(environ), ())
    assert (tmp_path / "run" / "authorized_keys").read_text() == "ssh-rsa AAAA a\nssh-rsa BBBB b\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="a root worker needs root")
def test_a_worker_without_a_key_is_78(tmp_path):
    """No key, no worker: said at once."""
    environ = {"MPIJOB_SSH_DIR": str(tmp_path), "MPIJOB_RUN_DIR": str(tmp_path / "run")}
    with pytest.raises(ConfigurationError, match="no ssh key"):
        prepare_worker(Settings.from_environ(environ), ())


def test_root_without_capabilities_is_78(make_facts):
    """A root sshd that cannot change its user would fail at the first login only."""
    facts = make_facts(uid=0, gid=0, capabilities=frozenset({"SETUID"}))
    with pytest.raises(ConfigurationError, match="no capability SETGID, SYS_CHROOT"):
        worker._check_privileges(facts.user, facts.system)


def test_another_user_needs_no_capabilities(make_facts):
    """Sshd as a plain user changes nothing."""
    facts = make_facts()
    assert worker._check_privileges(facts.user, facts.system) is None
