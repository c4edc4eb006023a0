"""A worker's own host key, made at its start and certified by the job's key.

Whoever holds the job's key may certify; that is the job's pods and nobody else. A certificate
names the host, so one worker cannot be taken for another by accident: a launcher that reaches a
pod under another pod's name is told so.

Certificates have no time limit: the clocks of pods may be wrong, and a job's key ends with its job.

Layer: effects (files, ssh-keygen); imports environ, errors, job_hosts, ssh_files.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterable, Sequence

from mpijob_runtime.environ import Paths
from mpijob_runtime.errors import ConfigurationError
from mpijob_runtime.job_hosts import name_forms, names_in
from mpijob_runtime.ssh_files import KEY_TYPES

MOST_NAMES = 256
"""How many names OpenSSH takes in one certificate (SSHKEY_CERT_MAX_PRINCIPALS)."""

_SSH_KEYGEN = "/usr/bin/ssh-keygen"
_REMEDY = "give the job an ECDSA P-256/384/521 or RSA-2048+ key without a passphrase"


def host_names(hostname: str, hosts_text: str, given: Iterable[str] = ()) -> tuple[str, ...]:
    """Return every name under which a launcher may reach this host.

    The kubelet writes the pod's address, full name and host name into /etc/hosts. Hostfiles hold
    any shorter form of the full name, and ssh does not match patterns in a host's certificate
    (measured with OpenSSH 9.2), so each form is listed: ``w0``, ``w0.job``, ``w0.job.ns`` …

    Args:
        hostname: what gethostname says.
        hosts_text: text of /etc/hosts.
        given: further names; shorter forms count, too.
    """
    known = (hostname, *names_in(hosts_text, hostname), *given)
    return tuple(dict.fromkeys(form for name in known for form in name_forms(name.lower())))


def make_host_key(paths: Paths, *, authority: str, names: Sequence[str]) -> None:
    """Make a new P-256 key and have the job's key certify it for these names.

    Args:
        paths: where both lie afterwards.
        authority: type of the job's key, which lies in ``paths.key``.
        names: what a launcher may call this host; the first also identifies the certificate.

    Raises:
        ConfigurationError: if there are too many names or ssh-keygen fails.
    """
    if len(names) > MOST_NAMES:
        message = f"host names: found {len(names)}, wanted at most {MOST_NAMES} for one host key"
        raise ConfigurationError(message, remedy="shorten MPIJOB_HOST_NAMES")
    for path in (paths.host_key, paths.host_certificate):
        with contextlib.suppress(FileNotFoundError):  # of an earlier start in this pod
            os.unlink(path)
    new = ("-q", "-t", "ecdsa", "-b", "256", "-N", "", "-C", "", "-f", paths.host_key)
    _run_ssh_keygen(*new, problem=f"{paths.host_key}: cannot make a host key")
    algorithm = ("-t", "rsa-sha2-512") if authority == "ssh-rsa" else ()
    subject = ("-h", "-I", names[0], "-n", ",".join(names), f"{paths.host_key}.pub")
    problem = f"{paths.key}: cannot certify a host key"
    _run_ssh_keygen("-q", "-s", paths.key, *algorithm, *subject, problem=problem)


def read_public_key(path: str) -> str:
    """Return ``TYPE BASE64`` of a private key.

    Raises:
        ConfigurationError: if it is not a key, or one of a kind that FIPS 140-2 refuses.
    """
    problem = f"{path}: not a usable private key"
    words = _run_ssh_keygen("-y", "-P", "", "-f", path, problem=problem).split()
    if words[0] not in KEY_TYPES:
        message = f"{path}: found a key of type {words[0]}, which FIPS 140-2 does not approve"
        raise ConfigurationError(message, remedy=_REMEDY)
    return " ".join(words[:2])


def _run_ssh_keygen(*arguments: str, problem: str) -> str:
    """Run ssh-keygen, which then writes files for this user alone, and return what it says."""
    answer = subprocess.run(  # noqa: S603 - a constant command and our own paths
        (_SSH_KEYGEN, *arguments),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        umask=0o077,
    )
    if answer.returncode:
        message = f"{problem}: {answer.stderr.strip()}"
        raise ConfigurationError(message, remedy=_REMEDY)
    return answer.stdout
