"""The faults, as data.

Layer: data; imports model and what is done.
"""

from dataclasses import replace
from signal import Signals

from faults import files, network, strikes
from faults.model import (
    GRACE_SECONDS,
    STALL_SECONDS,
    TIMEOUT_SECONDS,
    Expected,
    Fault,
    Moment,
    Shape,
)

# A silent host is to be noticed within 15 s; the rest is for ending what is left, on hosts that
# nobody reaches any more, too.
NOTICED_SECONDS = 15
SILENT_SECONDS = NOTICED_SECONDS + GRACE_SECONDS + 5
CLEAN_SECONDS = GRACE_SECONDS + 15
STALLED_SECONDS = STALL_SECONDS + 15 + GRACE_SECONDS

HOST = (("{host}",),)
RANK = (("rank {rank}",), ("{host}",))

SUCCEEDS = Expected((0,), ("succeeded",), within_seconds=90)
LOST = Expected((75,), ("failed",), HOST, SILENT_SECONDS, NOTICED_SECONDS)
CUT_OFF = replace(LOST, clean_seconds=CLEAN_SECONDS)
STALLED = Expected((75,), ("failed",), (("stall",),), within_seconds=STALLED_SECONDS)
EARLY_LOST = Expected((69, 75), ("failed", "not_started"), HOST, within_seconds=SILENT_SECONDS)


def not_ready(*step: str) -> Expected:
    """Return the expectation that a host does not come, and why."""
    says = (*HOST, step)
    return Expected((69, 78), ("not_started",), says, within_seconds=TIMEOUT_SECONDS + 6)


def rank_ends(code: int, *words: str) -> Expected:
    """Return the expectation that a rank's own code passes through."""
    says = (*RANK, *((word,) for word in words))
    return Expected((code,), ("failed",), says, within_seconds=12)


_BEFORE, _START, _RUN = Moment.BEFORE, Moment.START, Moment.RUN
_MPI = Shape(mpi=True)
_FOUR = Shape(workers=4, mpi=True)
_AGAIN = Shape(attempts=2, seconds=6)
_ENDS = Shape(seconds=2, mpi=True)
# A question that the name service loses while it reads its table again is asked anew after 5 s.
_RESOLVES_LATE = replace(_ENDS, env={"MPIJOB_TIMEOUT": "20"})

HOSTS = (
    Fault(
        "worker-never",
        "hosts",
        "a worker never starts",
        _BEFORE,
        strikes.hold_worker,
        not_ready("tcp"),
    ),
    Fault(
        "workers-late",
        "hosts",
        "eight workers, each starts at a random time within 6 s",
        _BEFORE,
        strikes.workers_late,
        SUCCEEDS,
        Shape(workers=8, seconds=1),
    ),
    Fault("worker-killed", "hosts", "a worker's pod is killed", _RUN, strikes.kill_worker, LOST),
    Fault(
        "worker-killed-at-start",
        "hosts",
        "a worker's pod is killed while the job starts",
        _START,
        strikes.kill_worker,
        EARLY_LOST,
    ),
)

SSHD = (
    Fault(
        "sshd-killed-before",
        "sshd",
        "a worker's sshd is killed before the launcher starts",
        _BEFORE,
        strikes.sshd_killed_first,
        not_ready("name", "tcp"),
    ),
    Fault(
        "sshd-killed-at-start",
        "sshd",
        "a worker's sshd is killed while the job starts",
        _START,
        strikes.kill_sshd,
        EARLY_LOST,
    ),
    Fault("sshd-killed", "sshd", "a worker's sshd is killed", _RUN, strikes.kill_sshd, LOST),
    Fault(
        "ssh-sessions-killed",
        "sshd",
        "all ssh sessions on a worker are killed",
        _RUN,
        strikes.kill_ssh_sessions,
        LOST,
    ),
)

RANKS = (
    *(
        Fault(
            f"rank-{number.name.removeprefix('SIG').lower()}",
            "ranks",
            f"a rank is ended by {number.name}",
            _RUN,
            strikes.signal_rank(number),
            rank_ends(128 + number, number.name),
        )
        for number in (Signals.SIGKILL, Signals.SIGSEGV, Signals.SIGABRT, Signals.SIGTERM)
    ),
    Fault(
        "rank-exit-3",
        "ranks",
        "a rank ends with exit code 3",
        _RUN,
        strikes.rank_does("sys.exit(3)"),
        rank_ends(3, "exit code 3"),
    ),
    Fault(
        "rank-exception",
        "ranks",
        "a rank ends with a Python exception",
        _RUN,
        strikes.rank_does("raise ValueError('fault')"),
        rank_ends(1, "exit code 1"),
    ),
    Fault(
        "rank-oom",
        "ranks",
        "a rank runs into its container's memory limit",
        _RUN,
        strikes.rank_does("x = [bytearray(1 << 20) for _ in range(4096)]"),
        rank_ends(137, "memory"),
        Shape(memory="192Mi"),
    ),
    Fault(
        "rank-stop",
        "ranks",
        "a rank is stopped (SIGSTOP); the others wait for it",
        _RUN,
        strikes.signal_rank(Signals.SIGSTOP),
        Expected((75,), ("failed",), (("stall",), ("rank {rank}",)), STALLED_SECONDS),
        _MPI,
    ),
)

LINKS = (
    Fault(
        "link-down", "links", "a worker's link goes down", _RUN, network.link_down, CUT_OFF, _MPI
    ),
    Fault(
        "link-flaps",
        "links",
        f"a worker's link is down for {network.FLAP_SECONDS} s",
        _RUN,
        network.link_flaps,
        SUCCEEDS,
        Shape(mpi=True, seconds=8),
    ),
    Fault(
        "two-links-down",
        "links",
        "the links of two workers go down",
        _RUN,
        network.two_links_down,
        replace(CUT_OFF, says=(("{host}", "{other}"),)),
        _FOUR,
    ),
    Fault(
        "pair-cut",
        "links",
        "two workers no longer reach each other; the launcher reaches both",
        _RUN,
        network.cut_pair,
        STALLED,
        _FOUR,
    ),
)

KEYS = (
    Fault(
        "key-wrong",
        "keys",
        "a worker accepts another key than the job's",
        _BEFORE,
        files.refuse_key,
        not_ready("authentication"),
    ),
    Fault(
        "key-missing-worker",
        "keys",
        "a worker has no key",
        _BEFORE,
        files.remove_worker_key,
        not_ready("tcp", "name"),
    ),
    Fault(
        "key-missing-launcher",
        "keys",
        "the launcher has no key",
        _BEFORE,
        files.remove_launcher_key,
        Expected((78,), ("not_started",), (("key",),), 10),
    ),
    Fault(
        "key-open",
        "keys",
        "the key's mode is 0666 and its owner root",
        _BEFORE,
        files.key_mode(0o666),
        SUCCEEDS,
        _ENDS,
    ),
    Fault(
        "key-unreadable",
        "keys",
        "the key's mode is 0400 and its owner root",
        _BEFORE,
        files.key_mode(0o400),
        Expected((78,), ("not_started",), (("key", "id_rsa"),), 10),
    ),
    Fault(
        "impostor",
        "keys",
        "another sshd answers under a worker's name",
        _BEFORE,
        files.impostor,
        not_ready("host key"),
    ),
)

NAMES = (
    Fault(
        "name-missing",
        "names",
        "a worker has no name in DNS",
        _BEFORE,
        network.name_missing,
        not_ready("name"),
    ),
    Fault(
        "name-late",
        "names",
        f"a worker's name comes {network.LATE_NAME_SECONDS} s late",
        _BEFORE,
        network.name_late,
        SUCCEEDS,
        _RESOLVES_LATE,
    ),
)

LAUNCHER = (
    Fault(
        "launcher-term",
        "launcher",
        "the launcher gets SIGTERM",
        _RUN,
        strikes.signal_launcher(Signals.SIGTERM),
        Expected((75,), ("preempted",), (("SIGTERM",),), GRACE_SECONDS + 10),
    ),
    Fault(
        "launcher-term-at-start",
        "launcher",
        "the launcher gets SIGTERM while the job starts",
        _START,
        strikes.signal_launcher(Signals.SIGTERM),
        Expected((75,), ("preempted", "not_started", ""), (("SIGTERM",),), GRACE_SECONDS + 10),
    ),
    Fault(
        "launcher-kill",
        "launcher",
        "the launcher's pod is killed",
        _RUN,
        strikes.signal_launcher(Signals.SIGKILL),
        Expected((137,), (), within_seconds=5, clean_seconds=CLEAN_SECONDS),
    ),
    Fault(
        "mpirun-kill",
        "launcher",
        "mpirun is killed",
        _RUN,
        strikes.kill_mpirun,
        Expected((137,), ("failed",), (("mpirun",),), GRACE_SECONDS + 10),
    ),
    Fault(
        "daemon-kill",
        "launcher",
        "Open MPI's daemon on a worker is killed",
        _RUN,
        strikes.signal_daemon(Signals.SIGKILL),
        LOST,
    ),
    Fault(
        "daemon-stop",
        "launcher",
        "Open MPI's daemon on a worker is stopped (SIGSTOP)",
        _RUN,
        strikes.signal_daemon(Signals.SIGSTOP),
        Expected((75,), ("failed",), HOST, STALLED_SECONDS + 8),
        Shape(mpi=True, seconds=6),
    ),
    Fault(
        "hostfile-changed",
        "launcher",
        "the hostfile loses all hosts but one",
        _RUN,
        strikes.change_hostfile,
        SUCCEEDS,
        Shape(seconds=6),
    ),
)

PLACES = (
    Fault(
        "tmp-full",
        "places",
        "/tmp is full in every pod",
        _BEFORE,
        files.fill_tmp,
        Expected((0, 78), ("succeeded", "not_started"), (("/tmp",),), 30),
        Shape(seconds=2, mpi=True, small_tmp=True),
    ),
    Fault(
        "read-only-root",
        "places",
        "the root file system is read-only in every pod",
        _BEFORE,
        strikes.nothing,
        SUCCEEDS,
        Shape(seconds=2, mpi=True, read_only=True),
    ),
    Fault(
        "no-terminal",
        "places",
        "no pod can make a pseudo-terminal",
        _BEFORE,
        files.no_terminals,
        SUCCEEDS,
        _ENDS,
    ),
    Fault(
        "program-missing",
        "places",
        "one worker lacks the program",
        _BEFORE,
        files.remove_program,
        Expected((127,), ("failed", "not_started"), HOST, 15),
    ),
    Fault(
        "other-open-mpi",
        "places",
        "one worker has another Open MPI",
        _BEFORE,
        files.other_image,
        Expected((78,), ("not_started", "failed"), HOST, 20),
    ),
)

RETRIES = (
    Fault(
        "retry-after-rank",
        "retries",
        "a rank is killed; the launcher runs again",
        _RUN,
        strikes.signal_rank(Signals.SIGKILL),
        SUCCEEDS,
        _AGAIN,
        bare=False,
    ),
    Fault(
        "retry-after-daemon",
        "retries",
        "a daemon is killed; the launcher runs again",
        _RUN,
        strikes.signal_daemon(Signals.SIGKILL),
        SUCCEEDS,
        _AGAIN,
        bare=False,
    ),
    Fault(
        "retry-after-worker",
        "retries",
        "a worker is killed; it and the launcher run again",
        _RUN,
        strikes.kill_worker,
        SUCCEEDS,
        Shape(attempts=2, seconds=6, restarts=True),
        bare=False,
    ),
)

FAULTS = (
    *HOSTS,
    *SSHD,
    *RANKS,
    *LINKS,
    *KEYS,
    *NAMES,
    *LAUNCHER,
    *PLACES,
    *RETRIES,
)

SMOKE = (
    "worker-killed",
    "ssh-sessions-killed",
    "rank-segv",
    "link-flaps",
    "impostor",
    "name-late",
    "launcher-term",
    "no-terminal",
    "retry-after-rank",
)
"""One of each class, for ``make test``."""
