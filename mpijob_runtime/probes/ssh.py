"""Does a host accept our ssh login, and if not, at which step does it stop?

A probe goes the whole way: name, TCP, banner, host key, authentication, one command. The
connection it ends with is kept: over it come the records of the ranks.

``SSHClient.connect`` is not used: it computes MD5 fingerprints, which a FIPS kernel refuses
(paramiko#396).

Layer: probe; the only importer of paramiko; imports errors.
"""

import logging
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from mpijob_runtime.errors import ConfigurationError

# paramiko imports invoke for a part of its config parser that we do not use: 70 of 180 ms.
sys.modules.setdefault("invoke", None)  # type: ignore[arg-type]
import paramiko  # noqa: E402

if sys.modules["invoke"] is None:
    del sys.modules["invoke"]

Step = Literal["name", "tcp", "banner", "host key", "authentication", "session"]

_KEX = ("ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521")
_RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256")
_COMMAND_SECONDS = 15.0

logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # its tracebacks are our reasons


class HostRefusal(Exception):  # noqa: N818 - a state of a host, not an error of ours
    """Why a host does not accept a login yet.

    Attributes:
        step: how far the probe came.
        reason: why it stopped there.
        lasting: whether waiting is unlikely to help: the host answers, and says no.
    """

    def __init__(self, step: Step, reason: str, *, lasting: bool = False) -> None:
        super().__init__(f"{step}: {reason}")
        self.step = step
        self.reason = reason
        self.lasting = lasting


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
        self.host = host
        self._transport = transport

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

    def lines(self, command: str) -> Iterator[str]:
        """Yield a command's output line by line, until it or the connection ends."""
        try:
            channel = self._transport.open_session(timeout=_COMMAND_SECONDS)
            channel.exec_command(command)
            with channel.makefile("rb") as output:
                for line in output:
                    yield line.decode(errors="replace")
        except (paramiko.SSHException, OSError, EOFError):
            return

    def close(self) -> None:
        """Close the connection; everything on it ends."""
        self._transport.close()


def probe_ssh(host: str, *, port: int, identity: Identity, timeout_seconds: float) -> SshConnection:
    """Log in to a host and run a command there, once.

    Args:
        host: name to resolve and connect to.
        port: sshd's port.
        identity: who we are; the host must hold the same key.
        timeout_seconds: bound for each step.

    Raises:
        HostRefusal: with the step that failed and why.
    """
    connection = _connect(host, port, timeout_seconds)
    transport = paramiko.Transport(connection)
    try:
        _greet(transport, identity, timeout_seconds)
        _check_host_key(transport, identity)
        _authenticate(transport, identity, timeout_seconds)
        opened = SshConnection(host, transport)
        _check_shell(opened, timeout_seconds)
    except BaseException:
        transport.close()
        raise
    return opened


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
        try:
            candidate.connect(address)
        except OSError as error:
            candidate.close()
            problem = error
        else:
            return candidate
    where = f"{addresses[0][4][0]} port {port}"
    raise HostRefusal("tcp", f"{_words(problem)} ({where})") from problem


def _greet(transport: paramiko.Transport, identity: Identity, timeout_seconds: float) -> None:
    transport.banner_timeout = timeout_seconds
    transport.auth_timeout = timeout_seconds
    options = transport.get_security_options()
    options.kex = _KEX
    # a server may have more host keys: ask for the one that the job knows
    kind = identity.key.get_name()
    options.key_types = _RSA_SIGNATURES if kind == "ssh-rsa" else (kind,)
    try:
        transport.start_client(timeout=timeout_seconds)
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise HostRefusal("banner", _words(error)) from error
    if not transport.initial_kex_done:  # start_client's own timeout raises nothing
        raise HostRefusal("banner", f"no ssh greeting within {timeout_seconds:.0f} s")


def _check_host_key(transport: paramiko.Transport, identity: Identity) -> None:
    shown = transport.get_remote_server_key()
    if shown.asbytes() != identity.key.asbytes():
        reason = f"shows a {shown.get_name()} key that is not this job's"
        raise HostRefusal("host key", reason, lasting=True)


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


def _check_shell(connection: SshConnection, timeout_seconds: float) -> None:
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
