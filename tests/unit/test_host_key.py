import subprocess

import pytest

from mpijob_runtime import host_key
from mpijob_runtime.environ import Paths
from mpijob_runtime.errors import ConfigurationError
from mpijob_runtime.host_key import host_names, make_host_key, read_public_key

KUBELET = """\
# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
10.1.2.3\tpi-worker-0.pi.ns.svc.cluster.local\tpi-worker-0
fd00::3\tpi-worker-0.pi.ns.svc.cluster.local\tpi-worker-0

# Entries added by HostAliases.
10.1.2.4\tpi-worker-1.pi.ns.svc.cluster.local\tpi-worker-1
"""


def test_a_pod_has_every_form_of_its_name_and_its_addresses():
    """Hostfiles have .svc (mpi-operator) or pod.job (Trainer, Volcano), DNS has all of them."""
    assert set(host_names("pi-worker-0", KUBELET)) == {
        "pi-worker-0",
        "pi-worker-0.pi",
        "pi-worker-0.pi.ns",
        "pi-worker-0.pi.ns.svc",
        "pi-worker-0.pi.ns.svc.cluster",
        "pi-worker-0.pi.ns.svc.cluster.local",
        "10.1.2.3",
        "fd00::3",
    }


@pytest.mark.parametrize(
    ("hostname", "hosts", "given", "expected"),
    [
        ("w0", "", (), ("w0",)),
        ("w0", "10.0.0.1 w1\n10.0.0.2 w00 w0x # w0\n\n  \n", (), ("w0",)),
        ("node", "127.0.1.1 node.lan node\n", (), ("node", "node.lan")),
        ("w0.job.ns", "", (), ("w0", "w0.job", "w0.job.ns")),
        ("node", "", ("w0.job",), ("node", "w0", "w0.job")),
        ("node", "", ("10.0.0.7", "FD00::1"), ("node", "10.0.0.7", "fd00::1")),
        ("W0", "10.0.0.1 W0.Job W0\n", (), ("w0", "w0.job", "10.0.0.1")),
        ("w0", "10.0.0.1 w0 w0.\n", (), ("w0", "w0.", "10.0.0.1")),
    ],
    ids=["none", "others", "loopback", "FQDN", "given", "addresses", "case", "dot"],
)
def test_names_of_other_hosts(hostname, hosts, given, expected):
    """Lines of others do not count, nor do loopback addresses; ssh lowers names."""
    assert host_names(hostname, hosts, given) == expected


@pytest.fixture
def paths(tmp_path):
    """Return the paths of a worker that has a job's key."""
    make_key(tmp_path / "id", "-t", "ecdsa", "-b", "521")
    return Paths(str(tmp_path))


def make_key(path, *options):
    """Make a key pair and return the private key's path."""
    argv = ["ssh-keygen", "-q", "-N", "", *options, "-f", path]
    subprocess.run(argv, check=True)
    return str(path)


def describe(paths):
    """Return what ssh-keygen says about the certificate, line by line."""
    argv = ["ssh-keygen", "-L", "-f", paths.host_certificate]
    answer = subprocess.run(argv, capture_output=True, text=True, check=True)
    return [line.strip() for line in answer.stdout.splitlines()]


def test_the_certificate_is_a_hosts_for_these_names_for_ever(paths):
    """P-256, signed by the job's key, no conditions, no end: a pod's clock may be wrong."""
    make_host_key(paths, authority="ecdsa-sha2-nistp521", names=("w0", "w0.job"))
    found = describe(paths)
    assert "Type: ecdsa-sha2-nistp256-cert-v01@openssh.com host certificate" in found
    assert "Valid: forever" in found
    assert "Critical Options: (none)" in found
    first = found.index("Principals:") + 1
    assert found[first : first + 2] == ["w0", "w0.job"]
    assert any("using ecdsa-sha2-nistp521" in line for line in found)


def test_an_rsa_key_signs_with_sha_2(tmp_path):
    """Approved by FIPS 140-2, and the only kind that the launcher takes."""
    make_key(tmp_path / "id", "-t", "rsa", "-b", "2048")
    paths = Paths(str(tmp_path))
    make_host_key(paths, authority="ssh-rsa", names=("w0",))
    assert any("using rsa-sha2-512" in line for line in describe(paths))


def test_each_start_makes_a_new_key(paths, tmp_path):
    """A container that restarts finds the old one in memory, and does not use it."""
    keys = []
    for _ in range(2):
        make_host_key(paths, authority="ecdsa-sha2-nistp521", names=("w0",))
        keys.append(read_public_key(paths.host_key))
        assert keys[-1].split()[1] in (tmp_path / "host_key.pub").read_text()
    assert keys[0] != keys[1]
    assert all(
        path.stat().st_mode & 0o777 == 0o600
        for path in tmp_path.iterdir()
        if path.name.startswith("host_key")
    )


def test_more_names_than_a_certificate_holds_are_refused(paths):
    """OpenSSH's bound, said with the remedy instead of at the first login."""
    most = [f"w{number}" for number in range(host_key.MOST_NAMES)]
    make_host_key(paths, authority="ecdsa-sha2-nistp521", names=most)
    assert most[-1] in describe(paths)
    with pytest.raises(ConfigurationError, match="found 257, wanted at most 256") as caught:
        make_host_key(paths, authority="ecdsa-sha2-nistp521", names=[*most, "more"])
    assert "MPIJOB_HOST_NAMES" in caught.value.remedy


def test_a_place_that_takes_no_key_is_a_configuration_error(paths, tmp_path):
    """ssh-keygen's own words, with the path."""
    elsewhere = Paths(f"{tmp_path}/none")
    with pytest.raises(
        ConfigurationError, match=r"none/host_key: cannot make a host key: .*No such"
    ):
        make_host_key(elsewhere, authority="ecdsa-sha2-nistp521", names=("w0",))


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (("-t", "ecdsa", "-b", "521"), "ecdsa-sha2-nistp521"),
        (("-t", "ecdsa", "-b", "256"), "ecdsa-sha2-nistp256"),
        (("-t", "rsa", "-b", "2048"), "ssh-rsa"),
    ],
)
def test_the_public_key_comes_from_the_private_one(options, kind, tmp_path):
    """Type and base64 text, without a comment."""
    path = make_key(tmp_path / "id", *options)
    expected = " ".join((tmp_path / "id.pub").read_text().split()[:2])
    assert expected == read_public_key(path)
    assert expected.startswith(f"{kind} ")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-t", "ed25519"), "type ssh-ed25519, which FIPS"),
        (("-t", "ecdsa", "-N", "secret"), "not a usable private key"),
    ],
    ids=["ed25519", "passphrase"],
)
def test_a_key_that_cannot_serve_is_refused(options, words, tmp_path):
    """78 at the start instead of refused logins later."""
    path = make_key(tmp_path / "id", *options)
    with pytest.raises(ConfigurationError, match=words) as caught:
        read_public_key(path)
    assert "without a passphrase" in caught.value.remedy


def test_nonsense_is_no_key(tmp_path):
    """A file that is no key is said to be none."""
    (tmp_path / "id").write_text("-----BEGIN PRIVATE KEY-----\nx\n")
    with pytest.raises(ConfigurationError, match="not a usable private key"):
        read_public_key(str(tmp_path / "id"))
