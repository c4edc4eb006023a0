"""Does a host accept our ssh login, and if not, at which step does it stop?

A probe goes the whole way: name, TCP, banner, host key, authentication, one command. The
connection it ends with is kept: over it come the records of the ranks.

``SSHClient.connect`` is not used: it computes MD5 fingerprints, which a FIPS kernel refuses
(paramiko#396).

Layer: probe; the only importer of paramiko; imports carried, errors, probes.host_certificate
and refusal. A launch imports it only once mpirun is starting.
"""

import contextlib
import logging
import socket
import sys
import time
from dataclasses import dataclass

from mpijob_runtime.carried import HOST_CERTIFICATE
from mpijob_runtime.errors import ConfigurationError
from mpijob_runtime.probes.host_certificate import NO_CERTIFICATE, find_fault
from mpijob_runtime.refusal import HostRefusal

# paramiko imports invoke for a part of its config parser that we do not use: 70 of 180 ms.
sys.modules.setdefault("invoke", None)  # type: ignore[arg-type]
import paramiko  # noqa: E402
from paramiko.ssh_exception import IncompatiblePeer  # noqa: E402

if sys.modules["invoke"] is None:
    del sys.modules["invoke"]

_KEX = ("ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521")
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr")
"""GCM first: it checks and decrypts in one call, where paramiko's MACs are Python's work."""

_WINDOW_BYTES = 1 << 18
"""What a host may send before we have read it: with paramiko's own 2 MiB a launcher of 1,000
hosts, whose stdout nobody reads, would keep 2 GB. Enough for 25 MB/s from a host 10 ms away."""

_COMMAND_SECONDS = 15.0

_LOST_AFTER_MILLISECONDS = 7_000
_KEEPALIVE = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 4),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _LOST_AFTER_MILLISECONDS),
)
"""A host that is gone breaks its connection within 15 s, whether we wait or send.

Silent for 4 s, it is asked every 2 s: without data on its way Linux gives up at the first question
that is due once TCP_USER_TIMEOUT has passed, after 8 s (the count holds where that option is
unknown); data that is sent just before starts the clock anew, so 15 s at most. A pause of some
seconds, as a node's network may have, breaks nothing.
"""

logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # its tracebacks are our reasons


@dataclass(frozen=True, slots=True)
class Identity:
    """The job's key pair, as both sides of a connection use it.

    Attributes:
        key: the private key.
        user: login name on the hosts.
    """

    key: paramiko.PKey
    user: str

    @property
    def public_key(self) -> str:
        """``TYPE BASE64``, the form of known_hosts and authorized_keys."""
        return f"{self.key.get_name()} {self.key.get_base64()}"


@dataclass(frozen=True, slots=True)
class RemoteResult:
    """What a command on a host gave."""

    exit_code: int
    stdout: str


def read_identity(path: str, *, user: str) -> Identity:
    """Read a private key of any kind that paramiko knows.

    Raises:
        ConfigurationError: if it cannot be read or needs a passphrase.
    """
    remedy = "give the job an ECDSA P-256/384/521 or RSA-2048+ key without a passphrase"
    try:
        return Identity(paramiko.PKey.from_path(path), user)
    except (paramiko.SSHException, OSError, ValueError, TypeError) as error:
        message = f"{path}: not a usable private key: {error or type(error).__name__}"
        raise ConfigurationError(message, remedy=remedy) from error


class SshConnection:
    """An authenticated connection to one host."""

    def __init__(self, host: str, transport: paramiko.Transport) -> None:
        """Take over an authenticated transport.

        paramiko's thread looks ten times a second whether it is to end: 1,000 of them use more than
        half a core for nothing. Here it sleeps until something comes; ``close`` wakes it.
        """
        self.host = host
        self._transport = transport
        transport.sock.settimeout(None)

    def run(self, command: str, *, timeout_seconds: float = _COMMAND_SECONDS) -> RemoteResult:
        """Run a command and return its exit code and output.

        Raises:
            HostRefusal: if the connection is lost or the host does not answer in time.
        """
        try:
            channel = self._transport.open_session(timeout=timeout_seconds)
            channel.settimeout(timeout_seconds)
            channel.exec_command(command)
            output = b"".join(iter(lambda: channel.recv(65536), b""))
            code = channel.recv_exit_status() if channel.status_event.wait(timeout_seconds) else -1
            channel.close()
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise HostRefusal("session", _words(error)) from error
        return RemoteResult(code, output.decode(errors="replace"))

    def start(self, command: str, *, merge_stderr: bool = False) -> "SshChannel":
        """Start a command that goes on running.

        Raises:
            HostRefusal: if the connection is lost or the host does not answer.
        """
        try:
            channel = self._transport.open_session(_WINDOW_BYTES, timeout=_COMMAND_SECONDS)
            channel.set_combine_stderr(merge_stderr)
            channel.exec_command(command)
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise HostRefusal("session", _words(error)) from error
        return SshChannel(channel)

    def close(self) -> None:
        """Close the connection; everything on it ends."""
        with contextlib.suppress(OSError):  # it is broken already
            self._transport.sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads
        self._transport.close()


class SshChannel:
    """A command that runs on a host, as bytes both ways."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel

    def read(self, *, timeout_seconds: float | None = None) -> bytes:
        """Return what the command wrote next; nothing at its end, or the connection's.

        Raises:
            TimeoutError: if nothing comes in time.
        """
        self._channel.settimeout(timeout_seconds)
        try:
            return self._channel.recv(1 << 17)
        except (paramiko.SSHException, EOFError):
            return b""

    def write(self, data: bytes) -> None:
        """Write to the command's stdin.

        Raises:
            OSError: if it is gone.
        """
        self._channel.sendall(data)

    def errors(self) -> str:
        """Return what the command has written to stderr so far."""
        ready = self._channel.recv_stderr_ready()
        return self._channel.recv_stderr(4096).decode(errors="replace") if ready else ""

    def exit_code(self) -> int:
        """Wait for the command's end and return its code; 255 if the connection broke."""
        code = self._channel.recv_exit_status()
        return code if code >= 0 else 255

    @property
    def code_so_far(self) -> int | None:
        """The exit code of a command that has ended, though others may still hold its output."""
        return self.exit_code() if self._channel.exit_status_ready() else None

    def close(self) -> None:
        """End the session; the command sees the end of its stdin."""
        self._channel.close()


def probe_ssh(host: str, *, port: int, identity: Identity, timeout_seconds: float) -> SshConnection:
    """Log in to a host, once.

    Args:
        host: name to resolve and connect to.
        port: sshd's port.
        identity: who we are; the host's key must be certified by the same key.
        timeout_seconds: bound for each step.

    Raises:
        HostRefusal: with the step that failed and why.
    """
    connection = _connect(host, port, timeout_seconds)
    transport = paramiko.Transport(connection)
    try:
        _greet(transport, timeout_seconds)
        _check_host_key(transport, host, identity)
        _authenticate(transport, identity, timeout_seconds)
    except BaseException:
        transport.close()
        raise
    return SshConnection(host, transport)


def _connect(host: str, port: int, timeout_seconds: float) -> socket.socket:
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else str(error)
        raise HostRefusal("name", f"{reason} ({host})") from error
    problem: OSError = OSError("no address")
    for family, kind, protocol, _, address in addresses:
        try:
            candidate = socket.socket(family, kind, protocol)
        except OSError as error:  # no such family here, or no descriptor left
            problem = error
            continue
        candidate.settimeout(timeout_seconds)
        for option in _KEEPALIVE:
            candidate.setsockopt(*option)
        try:
            candidate.connect(address)
        except OSError as error:
            candidate.close()
            problem = error
        else:
            return candidate
    where = f"{addresses[0][4][0]} port {port}"
    raise HostRefusal("tcp", f"{_words(problem)} ({where})") from problem


def _greet(transport: paramiko.Transport, timeout_seconds: float) -> None:
    transport.banner_timeout = timeout_seconds
    transport.auth_timeout = timeout_seconds
    options = transport.get_security_options()
    options.kex = _KEX
    options.ciphers = _CIPHERS
    options.key_types = (HOST_CERTIFICATE,)
    try:
        transport.start_client(timeout=timeout_seconds)
    except Exception as error:  # what a stranger sends makes paramiko raise anything
        raise _greeting_refusal(error) from error
    if not transport.initial_kex_done:  # start_client's own timeout raises nothing
        raise HostRefusal("banner", f"no ssh greeting within {timeout_seconds:.0f} s")


def _greeting_refusal(error: Exception) -> HostRefusal:
    """Tell what is wrong with the host key from what is wrong with all else."""
    words = _words(error)
    if isinstance(error, IncompatiblePeer) and "host key" in words:
        return HostRefusal("host key", NO_CERTIFICATE, lasting=True)
    if isinstance(error, paramiko.SSHException) and words.startswith("Signature verification"):
        reason = "does not hold the key that it shows: an impostor has this address"
        return HostRefusal("host key", reason, lasting=True)
    return HostRefusal("banner", words)


def _check_host_key(transport: paramiko.Transport, host: str, identity: Identity) -> None:
    proved = transport.get_remote_server_key()
    certificate = proved.public_blob
    fault = (
        NO_CERTIFICATE
        if certificate is None
        else find_fault(
            certificate.key_blob,
            key=f"{proved.get_name()} {proved.get_base64()}",
            host=host,
            authority=identity.public_key,
            now_seconds=time.time(),
        )
    )
    if fault:
        raise HostRefusal("host key", fault, lasting=True)


def _authenticate(
    transport: paramiko.Transport, identity: Identity, timeout_seconds: float
) -> None:
    try:
        transport.auth_publickey(identity.user, identity.key)
    except paramiko.AuthenticationException as error:
        if not transport.is_active() or "timeout" in str(error).lower():
            raise HostRefusal("authentication", "no answer; the host is slow or ending") from error
        reason = f"the job's key is refused for user {identity.user}"
        raise HostRefusal("authentication", reason, lasting=True) from error
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise HostRefusal("banner", f"{_words(error)} within {timeout_seconds:.0f} s") from error


def check_shell(connection: SshConnection, *, timeout_seconds: float) -> None:
    """Run the shortest command on a host.

    Raises:
        HostRefusal: if it fails.
    """
    result = connection.run(":", timeout_seconds=timeout_seconds)
    if result.exit_code:
        said = result.stdout.strip().splitlines()
        reason = f"a command ends with {result.exit_code}: {said[0] if said else 'no output'}"
        raise HostRefusal("session", reason, lasting=True)


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
