"""Texts of the files that ssh(1) and sshd(8) are given, and the options of sshd.

Algorithms are those that FIPS 140-2 approves and OpenSSH, paramiko and the operators' P-521 keys
share; ecdh-sha2-nistp256 also saves a tenth of a second a login against sntrup761, OpenSSH's
default (measured: docs/performance.md).

Layer: pure; imports environ for the paths.
"""

from collections.abc import Sequence

from mpijob_runtime.environ import Paths

KEX = "ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521"
KEYS = "ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256"
CIPHERS = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes256-ctr"
MACS = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512"
KEY_TYPES = frozenset(
    {"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"}
)
"""Types of public keys that the algorithms above can use."""


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
  HostKeyAlgorithms {KEYS}
  PubkeyAcceptedAlgorithms {KEYS}
  Ciphers {CIPHERS}
  MACs {MACS}
"""


def format_known_hosts(public_key: str) -> str:
    """Return the one line that accepts hosts which hold the job's key, and no others.

    Args:
        public_key: ``TYPE BASE64``, with or without a comment.
    """
    return f"* {public_key}\n"


def sshd_options(
    paths: Paths, *, authorized_keys: str, port: int, session: Sequence[str]
) -> tuple[str, ...]:
    """Return sshd's ``-o`` options, which win over any configuration file.

    Args:
        paths: where the private files lie.
        authorized_keys: file with the public keys that may log in.
        port: the port to listen on.
        session: ``NAME=VALUE`` items that every session gets; values without quotes or newlines.
    """
    settings = {
        "Port": str(port),
        "HostKey": paths.key,
        "AuthorizedKeysFile": authorized_keys,
        "StrictModes": "no",  # secrets are mounted sticky and world-writable; ours is 0700
        "UsePAM": "no",  # refuses every non-root sshd
        "PidFile": "none",
        "PubkeyAuthentication": "yes",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "HostbasedAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "PermitUserEnvironment": "no",
        "PermitUserRC": "no",
        "DisableForwarding": "yes",
        "PermitTunnel": "no",
        "MaxStartups": "1024",
        "MaxSessions": "64",
        "LogLevel": "ERROR",  # two lines a login and rank are no news
        "LoginGraceTime": "30",
        "ClientAliveInterval": "5",
        "ClientAliveCountMax": "3",
        "UseDNS": "no",
        "PrintMotd": "no",
        "PrintLastLog": "no",
        "KexAlgorithms": KEX,
        "HostKeyAlgorithms": KEYS,
        "PubkeyAcceptedAlgorithms": KEYS,
        "Ciphers": CIPHERS,
        "MACs": MACS,
        "RequiredRSASize": "2048",
    }
    if session:
        settings["SetEnv"] = " ".join(f'"{item}"' for item in session)
    return tuple(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))
