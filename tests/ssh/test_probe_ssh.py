import os
import socket
import subprocess
import threading
import time

import paramiko
import pytest

from mpijob_runtime.errors import ConfigurationError
from mpijob_runtime.probes.ssh import (
    HostRefusal,
    Identity,
    check_shell,
    probe_ssh,
    read_identity,
)


@pytest.fixture
def probe(identity):
    """Return a function that logs in; connections are closed at the end."""
    opened = []

    def call(address, port, *, who=identity, timeout_seconds=5.0):
        opened.append(probe_ssh(address, port=port, identity=who, timeout_seconds=timeout_seconds))
        return opened[-1]

    yield call
    for connection in opened:
        connection.close()


@pytest.fixture
def listen():
    """Return a function that opens a port which says some bytes to each caller, or nothing."""
    stop = threading.Event()
    threads = []

    def start(data):
        listener = socket.create_server(("127.0.0.9", 0))
        listener.settimeout(0.05)

        def serve():
            callers = []
            with listener:
                while not stop.is_set():
                    try:
                        callers.append(listener.accept()[0])
                    except TimeoutError:
                        continue
                    if data:
                        callers[-1].sendall(data)
            for caller in callers:
                caller.close()

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return listener.getsockname()

    yield start
    stop.set()
    for thread in threads:
        thread.join(5)


def refusal(probe, *args, **options):
    """Return the refusal that a probe ends with."""
    with pytest.raises(HostRefusal) as caught:
        probe(*args, **options)
    return caught.value


@pytest.mark.parametrize("name", ["no-such-host.invalid", "a" * 300, "w..x"])
def test_a_name_that_does_not_resolve_stops_at_the_name(name, probe):
    """The reason has the name; waiting may help, for DNS comes late."""
    found = refusal(probe, name, 2222)
    assert found.step == "name"
    assert name in found.reason
    assert not found.lasting


def test_a_closed_port_stops_at_tcp(probe):
    """Nobody listens: refused, with address and port."""
    with socket.create_server(("127.0.0.9", 0)) as free:
        port = free.getsockname()[1]
    found = refusal(probe, "127.0.0.9", port)
    assert str(found) == f"tcp: Connection refused (127.0.0.9 port {port})"
    assert not found.lasting


def test_a_silent_port_stops_at_the_banner_in_time(probe, listen):
    """Something takes the connection and says nothing: bounded, and worth waiting for."""
    began = time.monotonic()
    found = refusal(probe, *listen(b""), timeout_seconds=0.4)
    assert found.step == "banner"
    assert time.monotonic() - began < 3
    assert not found.lasting


@pytest.mark.parametrize(
    "data",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n" * 200, b"\x16\x03\x01\x02\x00" * 100],
    ids=["HTTP", "TLS"],
)
def test_another_protocol_stops_at_the_banner(data, probe, listen):
    """A port that speaks something else is no sshd (yet)."""
    found = refusal(probe, *listen(data), timeout_seconds=1.0)
    assert found.step == "banner"
    assert found.reason


def test_an_old_protocol_stops_at_the_banner(probe, listen):
    """SSH 1 is not spoken."""
    found = refusal(probe, *listen(b"SSH-1.5-old\r\n"), timeout_seconds=1.0)
    assert found.step == "banner"


def test_a_refused_key_stops_at_the_authentication(probe, make_server):
    """A worker that does not know our key says no, and will go on to."""
    server = make_server(admitted="stranger")
    server.start()
    found = refusal(probe, server.address, server.port)
    assert found.step == "authentication"
    assert found.lasting


def test_an_unknown_user_stops_at_the_authentication(probe, server, identity):
    """The name is in the reason: launcher and worker may run as different users."""
    stranger = Identity(identity.key, "no-such-user")
    found = refusal(probe, server.address, server.port, who=stranger)
    assert found.step == "authentication"
    assert "no-such-user" in found.reason


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("/bin/false", "ends with 1"),
        ("echo This account is closed.; exit 1", "This account is closed."),
    ],
)
def test_a_shell_that_fails_stops_at_the_session(command, words, probe, make_server):
    """A login is worth nothing without commands; what the shell says is the reason."""
    server = make_server()
    server.start("-o", f"ForceCommand={command}")
    connection = probe(server.address, server.port)
    with pytest.raises(HostRefusal) as caught:
        check_shell(connection, timeout_seconds=5.0)
    found = caught.value
    assert found.step == "session"
    assert words in found.reason
    assert found.lasting


def test_a_good_login_runs_commands(probe, server):
    """Exit code and output of a command come back."""
    connection = probe(server.address, server.port)
    found = connection.run("echo out; echo err >&2; exit 3")
    assert (found.exit_code, found.stdout) == (3, "out\n")
    assert connection.run(":").exit_code == 0


def test_a_session_has_the_variables_of_the_options(probe, make_server):
    """SetEnv carries the run directory and PATH into each session, spaces included."""
    server = make_server()
    server.start(session=("SOME=two words",))
    connection = probe(server.address, server.port)
    found = connection.run('echo "$MPIJOB_RUN_DIR|$SOME"').stdout
    assert found == f"{server.directory}|two words\n"


def test_large_output_comes_whole(probe, server):
    """More than one packet."""
    found = probe(server.address, server.port).run("head -c 300000 /dev/zero | tr '\\0' x")
    assert len(found.stdout) == 300000


def test_a_command_that_takes_too_long_is_given_up(probe, server):
    """The bound is kept and the step named."""
    connection = probe(server.address, server.port)
    began = time.monotonic()
    with pytest.raises(HostRefusal, match="session"):
        connection.run("sleep 20", timeout_seconds=0.3)
    assert time.monotonic() - began < 3


def test_a_started_command_is_a_stream_both_ways(probe, server):
    """It is read while it runs, and hears what is written to it; its exit code comes last."""
    channel = probe(server.address, server.port).start("echo one; read -r word; echo $word; exit 3")
    assert channel.read(timeout_seconds=5) == b"one\n"
    channel.write(b"two\n")
    assert channel.read(timeout_seconds=5) == b"two\n"
    assert channel.read(timeout_seconds=5) == b""
    assert channel.exit_code() == 3


def test_stderr_is_apart_or_with_stdout(probe, server):
    """An agent's frames must not mix with its complaints; a daemon's words are one stream."""
    connection = probe(server.address, server.port)
    apart = connection.start("echo out; echo err >&2")
    assert apart.read(timeout_seconds=5) == b"out\n"
    assert apart.read(timeout_seconds=5) == b""
    assert apart.exit_code() == 0
    assert apart.errors() == "err\n"
    both = connection.start("echo out; echo err >&2", merge_stderr=True)
    assert b"".join(iter(lambda: both.read(timeout_seconds=5), b"")) == b"out\nerr\n"


def test_the_end_of_a_connection_ends_its_lines_and_is_noticed(probe, server):
    """A host that goes away ends the stream; further commands are refused with a reason."""
    connection = probe(server.address, server.port)
    channel = connection.start("echo ready; sleep 30")
    assert channel.read(timeout_seconds=5) == b"ready\n"
    server.stop()
    assert channel.read(timeout_seconds=5) == b""
    with pytest.raises(HostRefusal) as caught:
        connection.run(":")
    assert caught.value.step == "session"
    with pytest.raises(HostRefusal):
        connection.start(":")


def test_closing_ends_the_remote_command(probe, server, tmp_path, is_alive):
    """A command that reads its stdin, as an agent does, does not stay behind on a worker."""
    connection = probe(server.address, server.port)
    channel = connection.start("echo $$; exec cat")
    pid = int(channel.read(timeout_seconds=5))
    connection.close()
    deadline = time.monotonic() + 5
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(pid)


def test_a_refused_probe_leaves_no_descriptor_open(probe, listen, identity):
    """A thousand probes of a host that is not there yet must not use up the descriptors."""
    address = listen(b"SSH-1.5-old\r\n")
    refusal(probe, *address, timeout_seconds=1.0)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        refusal(probe, *address, timeout_seconds=1.0)
    assert len(os.listdir("/proc/self/fd")) <= before + 5 + 1


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (("-t", "ecdsa", "-b", "521"), "ecdsa-sha2-nistp521"),
        (("-t", "ecdsa", "-b", "256"), "ecdsa-sha2-nistp256"),
        (("-t", "rsa", "-b", "2048"), "ssh-rsa"),
        (("-t", "rsa", "-b", "2048", "-m", "PEM"), "ssh-rsa"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_every_kind_of_key_is_read_under_any_name(options, kind, tmp_path):
    """The operators call a P-521 key id_rsa."""
    path = str(tmp_path / "id_rsa")
    subprocess.run(["ssh-keygen", "-q", "-N", "", *options, "-f", path], check=True)
    found = read_identity(path, user="u")
    assert found.public_key.split()[0] == kind
    with open(f"{path}.pub", encoding="ascii") as file:
        assert found.public_key.split() == file.read().split()[:2]


@pytest.mark.parametrize("text", [None, "", "no key\n", "-----BEGIN EC PRIVATE KEY-----\nAA==\n"])
def test_what_is_no_key_is_a_configuration_error(text, tmp_path):
    """78 with the path and the remedy."""
    path = tmp_path / "id"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError, match="not a usable private key") as caught:
        read_identity(str(path), user="u")
    assert str(path) in str(caught.value)


def test_a_key_with_a_passphrase_is_a_configuration_error(tmp_path):
    """Nobody is there to type it."""
    path = str(tmp_path / "id")
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "secret", "-f", path], check=True)
    with pytest.raises(ConfigurationError, match="not a usable private key"):
        read_identity(path, user="u")


def test_a_long_session_renews_its_keys_and_loses_nothing(probe, server, monkeypatch):
    """After 512 MiB paramiko asks for new keys; the host shows its certificate anew each time."""
    renewed = []
    activate = paramiko.Transport._activate_inbound

    def note(transport):
        renewed.append(transport)
        activate(transport)

    monkeypatch.setattr(paramiko.Transport, "_activate_inbound", note)
    monkeypatch.setattr(paramiko.packet.Packetizer, "REKEY_BYTES", 1 << 20)
    session = probe(server.address, server.port).start("seq 1 1000000; cat")
    expected = "".join(f"{number}\n" for number in range(1, 1_000_001)).encode()
    found = b""
    while len(found) < len(expected):
        data = session.read(timeout_seconds=20)
        assert data, "the session has ended"
        found += data
    assert found == expected
    assert len(renewed) > 4
    session.write(b"still there\n")
    assert session.read(timeout_seconds=20) == b"still there\n"
