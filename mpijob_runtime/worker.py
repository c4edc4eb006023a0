"""The worker's role: sshd in the foreground, with the job's key, under any user.

Layer: effects; puts the other modules together. Never imports paramiko: a worker must be up in a
moment.
"""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Sequence

from mpijob_runtime import carried
from mpijob_runtime.console import Console
from mpijob_runtime.credentials import copy_key, read_authorized_keys
from mpijob_runtime.environ import Paths
from mpijob_runtime.errors import ConfigurationError
from mpijob_runtime.facts import SystemFacts, UserFacts
from mpijob_runtime.host_key import host_names, make_host_key, read_public_key
from mpijob_runtime.noise import is_noise_of_sshd
from mpijob_runtime.passed_lines import PassedLines
from mpijob_runtime.private_files import make_run_dir, write_private
from mpijob_runtime.probes.keys import find_job_key
from mpijob_runtime.probes.system import probe_system, probe_user
from mpijob_runtime.processes import read_text
from mpijob_runtime.run_dir import choose_run_dir
from mpijob_runtime.settings import Settings
from mpijob_runtime.ssh_files import sshd_options
from mpijob_runtime.supervise import Pipes, Supervisor
from mpijob_runtime.user_entry import check_user_entry
from mpijob_runtime.worker_watch import WorkerWatch

SSHD = "/usr/lib/mpijob/sshd"
"""The real sshd, which dpkg-divert has moved here; ours is /usr/sbin/sshd."""

_SSHD_SECONDS = 5.0
_PLAIN_SSHD = "/usr/sbin/sshd"
_SSHD_VERSION = re.compile(r"OpenSSH_(\d+)\.(\d+)")
_ROOT_NEEDS = ("SETUID", "SETGID", "SYS_CHROOT")
_LISTENING_SECONDS = 10.0
_PRIVILEGE_SEPARATION = "/run/sshd"
_OF_THE_SESSION = (
    *("PATH", "LD_LIBRARY_PATH"),
    *("MPIJOB_HOST_NAMES", "MPIJOB_SSH_DIR", "MPIJOB_SSH_PORT"),  # ssh from there to others
)


def find_sshd() -> str:
    """Return the path of the real sshd.

    Raises:
        ConfigurationError: if there is none.
    """
    for path in (SSHD, _PLAIN_SSHD):
        if os.access(path, os.X_OK):
            return path
    message = f"no sshd: found none at {SSHD} or {_PLAIN_SSHD}"
    raise ConfigurationError(message, remedy="install openssh-server, or use our images")


def prepare_worker(settings: Settings, arguments: Sequence[str]) -> tuple[str, ...]:
    """Make this container fit for sshd and return the command that runs it.

    Args:
        settings: what was asked.
        arguments: sshd arguments from the pod's spec; they stand before ours and so win.

    Raises:
        ConfigurationError: if the key, the user or the privileges cannot work.
    """
    user = probe_user()
    check_user_entry(user)
    _check_privileges(user, probe_system(settings.temporary))
    run_dir = choose_run_dir(settings.run_dir)
    paths = Paths(run_dir)
    make_run_dir(run_dir)
    key = find_job_key(settings, user)
    copy = copy_key(key, user, paths)
    assert key is not None  # noqa: S101 - copy_key has raised
    public = read_public_key(copy)
    authorized = f"{run_dir}/authorized_keys"
    write_private(authorized, read_authorized_keys(key) or f"{public}\n")
    names = host_names(socket.gethostname(), read_text("/etc/hosts"), settings.host_names)
    make_host_key(paths, authority=public.split()[0], names=names)
    write_private(f"{run_dir}/{carried.WORKER_PID}", str(os.getpid()))
    session = [f"{carried.RUN_DIR}={run_dir}", *_session_items(settings)]
    sshd = find_sshd()
    ours = sshd_options(
        paths,
        authorized_keys=authorized,
        port=settings.ssh_port,
        session=session,
        version=read_sshd_version(sshd),
    )
    return (sshd, *arguments, *ours)


def read_sshd_version(sshd: str) -> tuple[int, int]:
    """Return sshd's version as it says it; (0, 0) if it says none.

    Versions that do not know ``-V`` complain about it and say their version, too.
    """
    answer = subprocess.run(  # noqa: S603 - one of two constant paths
        (sshd, "-V"), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    match = _SSHD_VERSION.search(answer.stdout + answer.stderr)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def run_worker(settings: Settings, arguments: Sequence[str], *, console: Console) -> int:
    """Run sshd to its end and return its exit code.

    sshd must not be the pod's first process: it exits at SIGTERM, and the kernel then kills all
    ranks at once. So it runs below us, and stays until the ranks have ended or the grace is over.

    Raises:
        ConfigurationError: as ``prepare_worker`` does.
    """
    if not runs_in_foreground(arguments):
        parent = _step_into_background(settings.ssh_port)
        if parent is not None:
            return parent
        arguments = (*arguments, "-D")
    argv = prepare_worker(settings, arguments)
    console.info(f"worker: sshd on port {settings.ssh_port} as UID {os.geteuid()}")
    run_dir = choose_run_dir(settings.run_dir)
    watch = WorkerWatch(run_dir, settings.grace_seconds, settings.idle_timeout_seconds, console)
    errors = PassedLines(is_noise_of_sshd)
    supervisor = Supervisor(
        argv,
        settings.environ,
        grace_seconds=_SSHD_SECONDS,
        companion=watch,
        pipes=Pipes(stderr=errors.descriptor),
    )
    ending = supervisor.run()
    errors.close()
    if ending.signals:
        console.info(f"worker: ended by {ending.signals[0].name}")
        return 0 if ending.signals[0] == signal.SIGTERM else 128 + ending.signals[0]
    return 0 if ending.stopped else ending.exit_code


def _step_into_background(port: int) -> int | None:
    """Do what sshd does without ``-D``: return in the child, and in the parent once it listens.

    Returns:
        None in the child, which stays as sshd's supervisor; the parent's exit code otherwise.
    """
    child = os.fork()
    if child == 0:
        os.setsid()
        return None
    deadline = time.monotonic() + _LISTENING_SECONDS
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return 0
        time.sleep(0.02)
    return ConfigurationError.exit_code


def runs_in_foreground(arguments: Sequence[str]) -> bool:
    """Tell whether sshd is asked not to become a daemon (``-D``, also as ``-De``)."""
    return any(_has_switch(word, "D") for word in arguments)


def only_asks(arguments: Sequence[str]) -> bool:
    """Tell whether sshd is asked a question (``-t``, ``-T``, ``-G``, ``-V``) and not to serve."""
    return any(_has_switch(word, letter) for word in arguments for letter in "tTGV")


_SWITCHES_WITH_VALUE = "bcCEfghkopu"


def _has_switch(word: str, letter: str) -> bool:
    """Tell whether a word like ``-De`` has a switch; values like in ``-fFILE`` do not count."""
    if not word.startswith("-"):
        return False
    for found in word[1:]:
        if found == letter:
            return True
        if found in _SWITCHES_WITH_VALUE:
            return False
    return False


def _check_privileges(user: UserFacts, system: SystemFacts) -> None:
    """Refuse what sshd would fail at only when the first login comes."""
    missing = [name for name in _ROOT_NEEDS if name not in system.capabilities]
    if user.uid == 0 and missing:
        raise ConfigurationError(
            f"sshd as root: found no capability {', '.join(missing)}, which it needs to log in",
            remedy="run as a non-root UID (any works), or leave root these capabilities",
        )
    if user.uid == 0:
        os.makedirs(_PRIVILEGE_SEPARATION, mode=0o755, exist_ok=True)


def _session_items(settings: Settings) -> list[str]:
    """Return what daemons need before the wrapper brings the whole environment."""
    items = [(name, settings.environ.get(name, "")) for name in _OF_THE_SESSION]
    return [f"{n}={v}" for n, v in items if v and not set(v) & set('"\n\\')]
