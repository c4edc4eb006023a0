import base64
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpijob_runtime.host_key import read_public_key
from mpijob_runtime.probes.host_certificate import find_fault

NOW = 1_800_000_000.0


class Authority:
    """A job's key that certifies what it is given, as ssh-keygen does."""

    def __init__(self, directory, name, *kind):
        self.directory = directory
        self.path = str(directory / name)
        subprocess.run(["ssh-keygen", "-q", "-N", "", *kind, "-f", self.path], check=True)
        self.public_key = read_public_key(self.path)

    def certify(self, *options, names="w0,w0.job", host=True):
        """Return a new host's public key and its certificate's bytes."""
        path = str(self.directory / "host")
        (self.directory / "host").unlink(missing_ok=True)
        made = ["ssh-keygen", "-q", "-t", "ecdsa", "-b", "256", "-N", "", "-f", path]
        subprocess.run(made, check=True)
        kind = ("-h",) if host else ()
        principals = ("-n", names) if names else ()
        sign = ["ssh-keygen", "-q", "-s", self.path, *kind, "-I", "id", *principals, *options]
        subprocess.run([*sign, f"{path}.pub"], check=True)
        text = (self.directory / "host-cert.pub").read_text()
        return read_public_key(path), base64.b64decode(text.split()[1])


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """Return the job's authority."""
    return Authority(tmp_path_factory.mktemp("job"), "id", "-t", "ecdsa", "-b", "521")


@pytest.fixture(scope="module")
def rsa(tmp_path_factory):
    """Return an authority with an RSA key."""
    return Authority(tmp_path_factory.mktemp("rsa"), "id", "-t", "rsa", "-b", "2048")


@pytest.fixture(scope="module")
def certified(job):
    """Return one host's key and certificate, to be changed."""
    return job.certify()


def fault(authority, key, certificate, *, host="w0", now=NOW):
    """Ask about a certificate."""
    return find_fault(
        certificate, key=key, host=host, authority=authority.public_key, now_seconds=now
    )


@pytest.mark.parametrize("host", ["w0", "w0.job", "W0.JOB"])
def test_a_certificate_for_the_name_is_accepted(host, job):
    """Whole names, in any case."""
    assert fault(job, *job.certify(), host=host) is None


@pytest.mark.parametrize("host", ["w1", "w", "w0.", "w0.job.ns", "0.job", "*", ""])
def test_a_certificate_for_other_names_is_not(host, job):
    """The reason names both, so that one sees which pod answered."""
    found = fault(job, *job.certify(), host=host)
    assert f"certified as w0, w0.job, not {host}: " in found
    assert f"MPIJOB_HOST_NAMES={host}" in found


@pytest.mark.parametrize("names", ["w*", "*", "?0", "!w1,*"])
def test_patterns_are_names_like_others(names, job):
    """As ssh(1) has it; what the two accept must be the same."""
    assert f"certified as {names.replace(',', ', ')}, not w0" in fault(
        job, *job.certify(names=names)
    )


def test_a_certificate_for_nobody_is_for_nobody(job):
    """Ssh takes it for one that is valid for all; we do not."""
    assert "certified as nobody, not w0" in fault(job, *job.certify(names=""))


def test_names_that_a_stranger_chose_do_not_fill_the_log(job):
    """Neither with length nor with control characters."""
    found = fault(job, *job.certify(names="a" * 5000 + ",b\x1b[2J\n"))
    assert len(found) < 300
    assert found.isprintable()


def test_another_jobs_certificate_is_refused(job, rsa):
    """Right name, right form, wrong key."""
    assert "another job's key" in fault(job, *rsa.certify())


def test_a_users_certificate_is_refused(job):
    """The job's key may certify users, too; those are no hosts."""
    assert "a user's certificate" in fault(job, *job.certify(host=False))


def test_a_certificate_for_another_key_is_refused(job):
    """What was proved in the key exchange must be what is certified."""
    key, _ = job.certify()
    _, certificate = job.certify()
    assert "for another key" in fault(job, key, certificate)


def test_unknown_conditions_are_refused(job):
    """A condition that one does not know cannot be met."""
    found = fault(job, *job.certify("-O", "critical:some@example.org=1"))
    assert "conditions" in found


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ("20200101:20990101", None),
        ("20200101:20210101", "not valid now"),
        ("20980101:20990101", "not valid now"),
    ],
)
def test_the_time_of_a_certificate_counts(window, expected, job):
    """Ours have none, but one that has is not valid outside it."""
    found = fault(job, *job.certify("-V", window))
    assert found is None if expected is None else expected in found


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [("rsa-sha2-512", None), ("rsa-sha2-256", None), ("ssh-rsa", "signed with SHA-1")],
)
def test_an_rsa_key_must_sign_with_sha_2(algorithm, expected, rsa):
    """SHA-1 is not approved; ssh is told the same by CASignatureAlgorithms."""
    found = fault(rsa, *rsa.certify("-t", algorithm))
    assert found is None if expected is None else expected in found


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0\x04null", b"\xff" * 100])
def test_nonsense_is_said_to_be_unreadable(data, job):
    """No exception of a library's own."""
    assert "cannot be read" in fault(job, "k", data)


def test_a_plain_key_is_no_certificate(job):
    """The kind is checked, not assumed."""
    key, _ = job.certify()
    assert "cannot be read" in fault(job, key, base64.b64decode(key.split()[1]))


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_change_is_a_fault(job, certified, data):
    """No byte of a certificate is free, and no change raises anything."""
    key, certificate = certified
    where = data.draw(st.integers(0, len(certificate) - 1))
    change = data.draw(st.integers(1, 255))
    changed = bytearray(certificate)
    changed[where] ^= change
    assert fault(job, key, bytes(changed)) is not None


@settings(max_examples=200, deadline=None)
@given(length=st.integers(0, 2000))
def test_a_shortened_certificate_is_a_fault(job, certified, length):
    """Nor does a cut raise anything."""
    key, certificate = certified
    assert fault(job, key, certificate[: length % len(certificate)]) is not None
