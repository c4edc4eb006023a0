"""Texts of the files that ssh(1) and sshd(8) are given, and the options of sshd.

Algorithms are those that FIPS 140-2 approves and OpenSSH, paramiko and the operators' P-521 keys
share; ecdh-sha2-nistp256 also saves a tenth of a second a login against sntrup761, OpenSSH's
default (measured: docs/performance.md).

A worker's host key is its own, certified by the job's key for the worker's names; the job's key is
the only authority (see host_key.py). What that keeps out, and what not: docs/security.md.

Layer: pure; imports carried, and environ for the paths.
"""

from collections.abc import Sequence

from mpijob_runtime.carried import HOST_CERTIFICATE
from mpijob_runtime.environ import Paths

KEX = "ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521"
KEYS = "ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256"
CIPHERS = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes256-ctr"
MACS = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512"
KEY_TYPES = frozenset(
    {"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"}
)
"""Types of public keys that the algorithms above can use."""

_MOST_LOGINS_AT_ONCE = "1024"
"""Connections of which one sshd is still waiting for a key; more are dropped.

The launcher alone needs two on each worker, however large the job. But every host may log in to one
at the same moment (Open MPI's tree spawn, tools that start themselves on all hosts), so this must
be no smaller than the jobs we aim at, 1,000 hosts; OpenSSH's default drops at random from 10 on.
Each costs 1.4 MB (measured with OpenSSH 9.2) for at most LoginGraceTime.
"""

_MOST_SESSIONS = "64"
"""Sessions in one connection; the launcher's kept one carries a few, OpenSSH's default is 10."""

_KNOWS_PENALTIES = (9, 8)
"""From this version on sshd shuts out an address that often came and did not log in (default)."""


def format_ssh_config(paths: Paths, *, port: int) -> str:
    """Return the configuration for the ssh client that mpirun starts.

    A silent host is given up after 15 s: ServerAliveInterval times ServerAliveCountMax.
    """
    return f"""\
# Written by mpijob-runtime for mpirun's ssh. Changes are lost at the next start.
Host *
  Port {port}
  IdentityFile {paths.key}
  IdentitiesOnly yes
  IdentityAgent none
  BatchMode yes
  PreferredAuthentications publickey
  StrictHostKeyChecking yes
  UserKnownHostsFile {paths.known_hosts}
  GlobalKnownHostsFile /dev/null
  CheckHostIP no
  UpdateHostKeys no
  ConnectTimeout 10
  ServerAliveInterval 5
  ServerAliveCountMax 3
  LogLevel ERROR
  RequestTTY no
  EscapeChar none
  KexAlgorithms {KEX}
  HostKeyAlgorithms {HOST_CERTIFICATE}
  CASignatureAlgorithms {KEYS}
  PubkeyAcceptedAlgorithms {KEYS}
  Ciphers {CIPHERS}
  MACs {MACS}
"""


def format_known_hosts(public_key: str) -> str:
    """Return the one line that accepts hosts which the job's key has certified, and no others.

    That the certificate is for the host's name is checked by ssh itself.

    Args:
        public_key: ``TYPE BASE64``, with or without a comment.
    """
    return f"@cert-authority * {public_key}\n"


def sshd_options(
    paths: Paths,
    *,
    authorized_keys: str,
    port: int,
    session: Sequence[str],
    version: tuple[int, int] = (0, 0),
) -> tuple[str, ...]:
    """Return sshd's ``-o`` options, which win over any configuration file.

    Args:
        paths: where the private files lie.
        authorized_keys: file with the public keys that may log in.
        port: the port to listen on.
        session: ``NAME=VALUE`` items that every session gets; values without quotes or newlines.
        version: sshd's; some options are errors for an older one.
    """
    settings = {
        "Port": str(port),
        "HostKey": paths.host_key,
        "HostCertificate": paths.host_certificate,
        "AuthorizedKeysFile": authorized_keys,
        "StrictModes": "no",  # secrets are mounted sticky and world-writable; ours is 0700
        "UsePAM": "no",  # refuses every non-root sshd
        "PidFile": "none",
        "AuthenticationMethods": "publickey",
        "PubkeyAuthentication": "yes",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "HostbasedAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "PermitUserEnvironment": "no",
        "PermitUserRC": "no",
        "DisableForwarding": "yes",
        "PermitTunnel": "no",
        "MaxStartups": _MOST_LOGINS_AT_ONCE,
        "MaxSessions": _MOST_SESSIONS,
        "LogLevel": "ERROR",  # two lines a login and rank are no news
        "LoginGraceTime": "30",
        "ClientAliveInterval": "3",  # 9.2 asks half as often: 18 s until a launcher is given up
        "ClientAliveCountMax": "2",
        "UseDNS": "no",
        "PrintMotd": "no",
        "PrintLastLog": "no",
        "KexAlgorithms": KEX,
        # without the plain key users' own ssh clients, who know no authority, could not come
        "HostKeyAlgorithms": f"{HOST_CERTIFICATE},ecdsa-sha2-nistp256",
        "PubkeyAcceptedAlgorithms": KEYS,
        "Ciphers": CIPHERS,
        "MACs": MACS,
        "RequiredRSASize": "2048",
    }
    if version >= _KNOWS_PENALTIES:
        settings["PerSourcePenalties"] = "no"  # a launcher that comes early is no attacker
    if session:
        settings["SetEnv"] = " ".join(f'"{item}"' for item in session)
    return tuple(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))
