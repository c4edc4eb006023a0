import os
import pathlib
import shutil
import subprocess

import pytest
from real_sshd import SSHD, needs_sshd

from mpijob_runtime.carried import HOST_CERTIFICATE
from mpijob_runtime.environ import Paths
from mpijob_runtime.host_key import make_host_key
from mpijob_runtime.settings import SSH_PORT
from mpijob_runtime.ssh_files import (
    CIPHERS,
    KEX,
    KEYS,
    MACS,
    format_known_hosts,
    format_ssh_config,
    sshd_options,
)

PATHS = Paths("/dev/shm/mpijob-1000")
ROOT = pathlib.Path(__file__).parents[2]
SYSTEM_CONFIG = ROOT / "images/rootfs/etc/ssh/ssh_config.d/mpijob.conf"


@pytest.fixture
def options():
    """Return sshd's options of a typical worker."""
    return sshd_options(
        PATHS,
        authorized_keys="/dev/shm/mpijob-1000/authorized_keys",
        port=2222,
        session=("MPIJOB_RUN_DIR=/dev/shm/mpijob-1000", "PATH=/opt/venv/bin:/usr/bin"),
    )


def ask_ssh(tmp_path, text, host="w0.job"):
    """Return what ssh itself understands of a configuration: option -> values."""
    config = tmp_path / "config"
    config.write_text(text)
    answer = subprocess.run(
        ["ssh", "-G", "-F", str(config), host], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert not answer.stderr
    return dict(line.partition(" ")[::2] for line in answer.stdout.splitlines())


def test_the_client_configuration_is_as_recorded(golden):
    """Mpirun's ssh gets exactly the golden configuration."""
    golden("ssh_config", format_ssh_config(PATHS, port=2222))


def test_the_server_options_are_as_recorded(options, golden):
    """The worker's sshd gets exactly the golden options."""
    assert options[::2] == ("-o",) * (len(options) // 2)
    golden("sshd_options", "".join(f"{option}\n" for option in options[1::2]))


def test_known_hosts_accept_the_jobs_authority_alone():
    """One line for all hosts, one authority."""
    found = format_known_hosts("ecdsa-sha2-nistp521 AAAA")
    assert found == "@cert-authority * ecdsa-sha2-nistp521 AAAA\n"


def test_without_session_variables_there_is_no_setenv():
    """An empty SetEnv would be a syntax error."""
    found = sshd_options(PATHS, authorized_keys="/a", port=22, session=())
    assert not any(option.startswith("SetEnv") for option in found)


@pytest.mark.parametrize(
    ("version", "expected"), [((9, 2), False), ((9, 7), False), ((9, 8), True), ((10, 0), True)]
)
def test_penalties_are_switched_off_where_they_exist(version, expected):
    """A launcher that comes too early must not be shut out; older ones know no such option."""
    found = sshd_options(PATHS, authorized_keys="/a", port=22, session=(), version=version)
    assert ("PerSourcePenalties=no" in found) == expected


@pytest.mark.skipif(not shutil.which("ssh"), reason="no ssh client on this machine")
def test_ssh_itself_accepts_the_client_configuration(tmp_path):
    """Ssh -G parses every line and understands the checks as meant."""
    found = ask_ssh(tmp_path, format_ssh_config(PATHS, port=2200))
    assert found["port"] == "2200"
    assert found["stricthostkeychecking"] == "true"
    assert found["batchmode"] == "yes"
    assert found["identityfile"] == PATHS.key
    assert found["userknownhostsfile"] == PATHS.known_hosts
    assert found["identitiesonly"] == "yes"
    assert found["hostkeyalgorithms"] == HOST_CERTIFICATE
    assert found["casignaturealgorithms"] == KEYS


@needs_sshd
@pytest.mark.skipif(os.geteuid() != 0, reason="sshd -T reads host keys as root")
def test_sshd_itself_accepts_the_server_options(tmp_path):
    """Sshd -T parses every option and takes the values as meant, over a contrary file."""
    os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ecdsa", "-b", "521", "-N", "", "-f", tmp_path / "id"],
        check=True,
    )
    make_host_key(Paths(str(tmp_path)), authority="ecdsa-sha2-nistp521", names=("w0",))
    contrary = tmp_path / "sshd_config"
    contrary.write_text("Port 22\nStrictModes yes\nPasswordAuthentication yes\nPidFile /run/x\n")
    options = sshd_options(
        Paths(str(tmp_path)),
        authorized_keys=f"{tmp_path}/keys",
        port=2345,
        session=("A=1", "B=two words", "PATH=/opt/venv/bin:/usr/bin"),
    )
    answer = subprocess.run(
        [SSHD, "-T", "-f", str(contrary), *options], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert not answer.stderr
    found = answer.stdout.splitlines()
    assert "port 2345" in found
    assert "strictmodes no" in found
    assert "passwordauthentication no" in found
    assert "pidfile none" in found
    assert "disableforwarding yes" in found
    assert "setenv B=two words" in found
    assert [line for line in found if line.startswith("host") and str(tmp_path) in line] == [
        f"hostkey {tmp_path}/host_key",
        f"hostcertificate {tmp_path}/host_key-cert.pub",
    ]


def test_the_systems_client_configuration_has_the_same_algorithms():
    """What FIPS 140-2 approves holds for ssh as people type it, too."""
    words = [line.split() for line in SYSTEM_CONFIG.read_text().splitlines()]
    found = {line[0]: line[1] for line in words if len(line) == 2}
    assert found["Port"] == str(SSH_PORT)
    assert found["KexAlgorithms"] == KEX
    assert found["HostKeyAlgorithms"] == f"{HOST_CERTIFICATE},{KEYS}"
    assert found["CASignatureAlgorithms"] == found["PubkeyAcceptedAlgorithms"] == KEYS
    assert found["Ciphers"] == CIPHERS
    assert found["MACs"] == MACS
