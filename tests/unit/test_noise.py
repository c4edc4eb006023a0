import pytest

from mpijob_runtime.noise import is_noise_of_mpirun, is_noise_of_sshd


@pytest.mark.parametrize(
    "line",
    [
        "kex_exchange_identification: Connection closed by remote host",
        "kex_exchange_identification: read: Connection reset by peer",
        "kex_exchange_identification: write: Broken pipe",
        "banner exchange: Connection from 10.180.4.1 port 55230: Connection reset by peer",
        "banner exchange: Connection from UNKNOWN port 65535: Broken pipe",
        "Connection closed by 10.180.4.1 port 55230",
        "Connection closed by fd00::1%eth0 port 55230 [preauth]",
        "Connection reset by 10.180.4.1 port 55230 [preauth]",
    ],
)
def test_who_connects_and_leaves_is_noise(line):
    """As sshd 9.2 and its sources have it, for a probe of a kubelet."""
    assert is_noise_of_sshd(line.encode())
    assert not is_noise_of_sshd(f"x {line}".encode())
    assert not is_noise_of_sshd(f"{line} x".encode())


@pytest.mark.parametrize(
    "line",
    [
        "",
        'kex_exchange_identification: client sent invalid protocol identifier "GET / HTTP/1.1"',
        "banner exchange: Connection from 10.0.0.1 port 1: invalid format",
        "Protocol major versions differ: 2 vs. 1",
        "Connection closed by authenticating user mpiuser 10.0.0.1 port 1 [preauth]",
        "Connection closed by user mpiuser 10.0.0.1 port 1",
        "Connection closed by invalid user bob 10.0.0.1 port 1 [preauth]",
        "Unable to negotiate with 10.0.0.1 port 1: no matching host key type found.",
        "error: kex protocol error: type 30 seq 1 [preauth]",
        "fatal: Timeout before authentication for 10.0.0.1 port 1",
        "drop connection #10 from [10.0.0.1]:1 on [10.0.0.2]:2222 past MaxStartups",
    ],
)
def test_who_said_something_is_none(line):
    """A login that fails is what people look for."""
    assert not is_noise_of_sshd(line.encode())


def test_noise_of_mpirun_is_one_sentence():
    """Of both Open MPIs; of another error number, or of the child, it would be news."""
    text = b"[l:00021] plm:%s: Warning: setpgid(30,30) failed in parent with errno=%s"
    assert is_noise_of_mpirun(text % (b"ssh", b"Permission denied(13)"))
    assert is_noise_of_mpirun(text % (b"rsh", b"Permission denied(13)"))
    assert not is_noise_of_mpirun(text % (b"ssh", b"No such process(3)"))
    assert not is_noise_of_mpirun(text % (b"slurm", b"Permission denied(13)"))
