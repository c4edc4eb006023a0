"""How ssh gets to the hosts of this container's job: which they are, its key, a port of its own.

Operators replace an image's ENTRYPOINT, so people call ssh before anything of ours has run in a
container; what it needs is made when it asks (see ssh_client.py).

Layer: effects (files, ssh-keygen, a socket); imports credentials, environ, facts, host_key,
job_hosts, private_files, probes, processes, run_dir, settings, ssh_files.
"""

import os
import socket
import sys
from collections.abc import Mapping

from mpijob_runtime.credentials import copy_key
from mpijob_runtime.environ import Paths
from mpijob_runtime.facts import KeyFacts
from mpijob_runtime.host_key import read_public_key
from mpijob_runtime.job_hosts import is_job_host, names_in, parse_listed
from mpijob_runtime.operators import DISCOVER_HOSTS, HOSTFILE
from mpijob_runtime.private_files import make_run_dir, write_private
from mpijob_runtime.probes.keys import find_job_key
from mpijob_runtime.probes.system import probe_user
from mpijob_runtime.processes import read_text
from mpijob_runtime.run_dir import choose_run_dir
from mpijob_runtime.settings import SSH_PORT, Settings
from mpijob_runtime.ssh_files import format_known_hosts

_CONNECT_SECONDS = 10.0


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Return what this container's variables say.

    Raises:
        UsageError: if one has a value that cannot be.
    """
    return Settings.from_environ(environ, hostfile_exists=os.path.exists(HOSTFILE))


def belongs_to_job(settings: Settings, host: str) -> bool:
    """Tell whether a host is one of this container's job."""
    files = dict.fromkeys((settings.hostfile or HOSTFILE, HOSTFILE, DISCOVER_HOSTS))
    text = "\n".join(read_text(path) for path in files)
    listed = (*parse_listed(text), *parse_listed((settings.host or "").replace(",", "\n")))
    own = (*names_in(read_text("/etc/hosts"), socket.gethostname()), *settings.host_names)
    return is_job_host(host, listed=listed, own=own)


def prepare(settings: Settings) -> None:
    """Put the job's key and its authority for host keys into the run directory.

    They are compared each time: a directory that outlives its pod may have the key of a former
    job. What is right is not written again: the directory is in memory, which may be full by now.

    Raises:
        ConfigurationError: if there is no key, or it cannot be read or copied.
    """
    paths = Paths(choose_run_dir(settings.run_dir))
    make_run_dir(paths.run_dir)
    user = probe_user()
    key = find_job_key(settings, user)
    if key is None or not key.readable or not _has_copy(key, paths):
        copy = copy_key(key, user, paths)
        write_private(paths.known_hosts, format_known_hosts(read_public_key(copy)))


def _has_copy(key: KeyFacts, paths: Paths) -> bool:
    same = read_text(key.path).rstrip() == read_text(paths.key).rstrip()
    return same and os.path.exists(paths.known_hosts)


def connect(settings: Settings, host: str, port: int) -> None:
    """Connect to a host's sshd and give the connection to ssh, which waits for it on our stdout.

    Args:
        settings: with the port of the job's hosts.
        host: what to connect to.
        port: as ssh has it; another one than the configuration's is the user's own word.

    Raises:
        OSError: if no connection comes about.
    """
    asked = settings.ssh_port if port == SSH_PORT else port
    with (
        socket.create_connection((host, asked), timeout=_CONNECT_SECONDS) as connection,
        socket.socket(fileno=os.dup(sys.stdout.fileno())) as ssh,
    ):
        connection.settimeout(None)
        socket.send_fds(ssh, [b"\0"], [connection.fileno()])
