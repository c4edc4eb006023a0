"""Settings: what was asked, by flag, variable or operator.

``Settings.from_environ`` is the only reader of environment variables of the launcher and the
worker. Precedence: flag > ``MPIJOB_…`` variable > operator > default.

Layer: pure; imports carried, errors, masking, operators, values.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Literal, cast, get_args

from mpijob_runtime.carried import INSIDE
from mpijob_runtime.errors import UsageError
from mpijob_runtime.masking import is_secret
from mpijob_runtime.operators import VOLCANO_HOSTS, Operator, recognise_operator
from mpijob_runtime.values import SWITCH_WANTED, TIME_WANTED, parse_seconds, parse_switch


@dataclass(frozen=True, slots=True)
class SettingVariable:
    """One ``MPIJOB_…`` variable: the reference in docs/ is made from this table.

    Attributes:
        name: the variable.
        default: what holds without it, for people.
        meaning: one sentence.
        flag: the flag that overrides it, or empty.
    """

    name: str
    default: str
    meaning: str
    flag: str = ""


VARIABLES = (
    SettingVariable(
        "MPIJOB_HOSTFILE", "the operator's, /etc/mpi/hostfile", "Hosts of the job.", "--hostfile"
    ),
    SettingVariable(
        "MPIJOB_TIMEOUT", "600", "Time for all hosts to accept an ssh login: 600, 10m.", "--timeout"
    ),
    SettingVariable(
        "MPIJOB_START_TIMEOUT",
        "300",
        "Seconds from mpirun's start to the first rank's; Open MPI 5 can hang there for ever.",
    ),
    SettingVariable(
        "MPIJOB_GRACE",
        "20",
        "Seconds between SIGTERM and SIGKILL; keep it below the pod's grace period (30).",
        "--grace",
    ),
    SettingVariable("MPIJOB_REPORT", "none", "Path for the outcome as JSON.", "--report"),
    SettingVariable(
        "MPIJOB_OUTPUT",
        "prefix; plain under the mpirun shim",
        "Form of the ranks' lines: prefix, plain, json, or mpirun for mpirun's own.",
        "--output",
    ),
    SettingVariable(
        "MPIJOB_LOG_DIR",
        "none",
        "Directory for one log file a rank: START/rank-N.log, START being the id of this start.",
        "--log-dir",
    ),
    SettingVariable(
        "MPIJOB_STALL_TIMEOUT",
        "0, never",
        "Seconds without progress of any rank after which the ranks' stacks are shown.",
        "--stall-timeout",
    ),
    SettingVariable(
        "MPIJOB_STALL_ACTION",
        "fail",
        "What follows then: fail ends the job with 75, report lets it go on.",
        "--stall-action",
    ),
    SettingVariable(
        "MPIJOB_BIND_TO",
        "auto",
        "Processors of a rank: auto binds where it cannot starve threads; none; or Open MPI's "
        "hwthread, core, numa, socket. mpirun's own --bind-to wins.",
        "--bind-to",
    ),
    SettingVariable(
        "MPIJOB_DISTINCT_NODES",
        "off",
        "on makes two hosts on the same physical node an error.",
        "--distinct-nodes",
    ),
    SettingVariable(
        "MPIJOB_ENV",
        "none",
        "Names and patterns of the launcher's variables for the ranks, with commas between.",
        "--env",
    ),
    SettingVariable(
        "MPIJOB_WORKER_IDLE_TIMEOUT",
        "0, never",
        "Seconds without a job, after its first, after which a worker ends by itself.",
    ),
    SettingVariable("MPIJOB_SSH_PORT", "2222", "Port of sshd on the workers."),
    SettingVariable(
        "MPIJOB_SSH_DIR",
        "~/.ssh, /root/.ssh, then the mount table",
        "Directory that holds the job's ssh key.",
    ),
    SettingVariable(
        "MPIJOB_HOST_NAMES",
        "the host's name and what /etc/hosts calls it",
        "More names of a worker, with commas between; its host key is certified for them, "
        "e.g. with hostNetwork.",
    ),
    SettingVariable(
        "MPIJOB_RUN_DIR",
        "/dev/shm/mpijob-UID-HOSTNAME, else in /tmp",  # noqa: S108 - words for people
        "Directory for private files; made with mode 0700.",
    ),
    SettingVariable(
        "MPIJOB_TERMINATION_LOG",
        "/dev/termination-log",
        "File for the outcome in words, as Kubernetes shows it.",
    ),
    SettingVariable(
        "MPIJOB_RANK_WRAPPER",
        "/usr/local/lib/mpijob/rank",
        "Executable that daemons put before each rank; empty for none.",
    ),
    SettingVariable(
        "MPIJOB_MPIRUN", "the first real one on PATH, else the image's", "The mpirun to start."
    ),
    SettingVariable(
        "MPIJOB_MASTER_PORT",
        "29500; beside other jobs of the launcher the next that is free",
        "MASTER_PORT of torch.distributed (torchrun's default).",
    ),
    SettingVariable("MPIJOB_LOG_FORMAT", "text", "text, or json for one object a line."),
    SettingVariable(
        "MPIJOB_SHIM",
        "on",
        "off makes Open MPI's launchers, horovodrun and sshd the plain programs; they say so.",
    ),
)
"""Every variable that this package reads from a container's environment."""

Form = Literal["prefix", "plain", "json", "mpirun"]
FORMS: tuple[Form, ...] = get_args(Form)
"""Forms of the ranks' lines: ``[3 worker-1] line``, the line alone, an object, mpirun's own."""

STALL_ACTIONS = ("fail", "report")

BIND_TO = ("auto", "none", "hwthread", "core", "numa", "socket")
"""Who binds ranks to processors: the gate, nobody, or Open MPI in its own words."""

RANK_WRAPPER = "/usr/local/lib/mpijob/rank"
"""Where the images have the wrapper around each rank."""

SSH_PORT = 2222
"""Port of the workers' sshd; /etc/ssh/ssh_config.d/mpijob.conf has it, too."""

_MASTER_PORT = 29500
_LARGEST_PORT = 65535
_PORT_DIGITS = 5
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9._/-]*")
_HOST_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,252}")


@dataclass(frozen=True, slots=True)
class Flags:
    """What the command line said; None or empty where it said nothing.

    Attributes:
        ranks: ``-n``.
        hostfile: ``--hostfile``.
        host: ``--host``.
        timeout_seconds: ``--timeout``.
        grace_seconds: ``--grace``.
        report: ``--report``.
        output: ``--output``.
        log_dir: ``--log-dir``.
        stall_timeout_seconds: ``--stall-timeout``.
        stall_action: ``--stall-action``.
        bind_to: ``--bind-to``.
        distinct_nodes: ``--distinct-nodes``.
        env: ``--env`` items, ``NAME``, ``PATTERN*`` or ``NAME=VALUE``.
    """

    ranks: int | None = None
    hostfile: str | None = None
    host: str | None = None
    timeout_seconds: float | None = None
    grace_seconds: float | None = None
    report: str | None = None
    output: str | None = None
    log_dir: str | None = None
    stall_timeout_seconds: float | None = None
    stall_action: str | None = None
    bind_to: str | None = None
    distinct_nodes: bool = False
    env: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """What was asked of a launcher or a worker, resolved.

    Attributes:
        operator: what the operator gave.
        environ: the whole environment, as given.
        hostfile: path to read hosts from, or None.
        host: text of ``--host`` or of the operator's list, which wins over the hostfile, or None.
        host_source: where that text is from, for messages.
        ranks: how many ranks, or None for all slots.
        forwarded: variables for the ranks, name to value.
        timeout_seconds: how long hosts may take to come.
        start_timeout_seconds: how long mpirun may take to start a rank.
        grace_seconds: how long ranks may take to end.
        report: path for the outcome as JSON, or None.
        output: form of the ranks' lines.
        output_asked: whether somebody asked for that form.
        log_dir: directory for one log file a rank, or None.
        stall_timeout_seconds: how long no rank may make progress; 0 for ever.
        stall_action: ``fail`` or ``report``.
        bind_to: one of ``BIND_TO``.
        idle_timeout_seconds: how long a worker stays after its first job; 0 for ever.
        distinct_nodes: whether hosts must be on different physical nodes.
        termination_log: path for the outcome in words.
        ssh_port: port of sshd on the workers.
        ssh_dir: where the key is, or None to look for it.
        host_names: names of this worker that it cannot know by itself.
        run_dir: directory for private files, or None for the default.
        rank_wrapper: executable around each rank, or None for none.
        mpirun: the mpirun to use, or None to look on PATH.
        master_port: ``MASTER_PORT`` for the ranks.
        log_format: ``text`` or ``json``.
        shim: whether the shims do anything.
        inside: whether this process was started by one of ours.
        temporary: directory for temporary files, by ``TMPDIR``.
    """

    operator: Operator
    environ: Mapping[str, str] = field(repr=False)
    hostfile: str | None
    host: str | None
    host_source: str
    ranks: int | None
    forwarded: Mapping[str, str]
    timeout_seconds: float
    start_timeout_seconds: float
    grace_seconds: float
    report: str | None
    output: Form
    output_asked: bool
    log_dir: str | None
    stall_timeout_seconds: float
    stall_action: str
    bind_to: str
    idle_timeout_seconds: float
    distinct_nodes: bool
    termination_log: str
    ssh_port: int
    ssh_dir: str | None
    host_names: tuple[str, ...]
    run_dir: str | None
    rank_wrapper: str | None
    mpirun: str | None
    master_port: int
    log_format: str
    shim: bool
    inside: bool
    temporary: str

    @classmethod
    def from_environ(
        cls,
        environ: Mapping[str, str],
        *,
        flags: Flags | None = None,
        hostfile_exists: bool = False,
        output: Form = "prefix",
        program: str = "",
    ) -> "Settings":
        """Resolve flags, variables and what the operator gave.

        Args:
            environ: the container's environment.
            flags: the command line's words.
            hostfile_exists: whether the operator's hostfile is mounted.
            output: the form of the ranks' lines if nothing asks for one.
            program: what this container runs, where that tells its role: ``sshd``.

        Raises:
            UsageError: if a flag or variable has a value that cannot be.
        """
        flags = flags or Flags()
        operator = recognise_operator(environ, hostfile_exists=hostfile_exists, program=program)
        read = _Reader(environ)
        hostfile = flags.hostfile or read.text("MPIJOB_HOSTFILE")
        listed = None if hostfile else operator.host_list
        if flags.ranks is not None and flags.ranks < 1:
            message = f"-n {flags.ranks}: found {flags.ranks} ranks, wanted at least 1"
            raise UsageError(message)
        return cls(
            operator=operator,
            environ=MappingProxyType(dict(environ)),
            hostfile=hostfile or operator.hostfile,
            host=listed if flags.host is None else flags.host,
            host_source=VOLCANO_HOSTS if listed and flags.host is None else "--host",
            ranks=flags.ranks,
            forwarded={
                **matching_variables(environ, read.words("MPIJOB_ENV")),
                **parse_env_flags(flags.env, environ),
            },
            timeout_seconds=read.seconds("MPIJOB_TIMEOUT", 600.0, flags.timeout_seconds),
            start_timeout_seconds=read.seconds("MPIJOB_START_TIMEOUT", 300.0, None),
            grace_seconds=read.seconds("MPIJOB_GRACE", 20.0, flags.grace_seconds),
            report=flags.report or read.text("MPIJOB_REPORT"),
            output=cast("Form", read.choice("MPIJOB_OUTPUT", (output, *FORMS), flags.output)),
            output_asked=bool(flags.output or read.text("MPIJOB_OUTPUT")),
            log_dir=flags.log_dir or read.text("MPIJOB_LOG_DIR"),
            stall_timeout_seconds=read.seconds(
                "MPIJOB_STALL_TIMEOUT", 0.0, flags.stall_timeout_seconds
            ),
            stall_action=read.choice("MPIJOB_STALL_ACTION", STALL_ACTIONS, flags.stall_action),
            bind_to=read.choice("MPIJOB_BIND_TO", BIND_TO, flags.bind_to),
            idle_timeout_seconds=read.seconds("MPIJOB_WORKER_IDLE_TIMEOUT", 0.0, None),
            distinct_nodes=flags.distinct_nodes
            or read.switch("MPIJOB_DISTINCT_NODES", default=False),
            termination_log=read.text("MPIJOB_TERMINATION_LOG") or "/dev/termination-log",
            ssh_port=read.port("MPIJOB_SSH_PORT", SSH_PORT),
            ssh_dir=read.text("MPIJOB_SSH_DIR"),
            host_names=read.host_names("MPIJOB_HOST_NAMES"),
            run_dir=read.plain_path("MPIJOB_RUN_DIR"),
            rank_wrapper=environ.get("MPIJOB_RANK_WRAPPER", RANK_WRAPPER) or None,
            mpirun=read.text("MPIJOB_MPIRUN"),
            master_port=read.port("MPIJOB_MASTER_PORT", _MASTER_PORT),
            log_format=read.choice("MPIJOB_LOG_FORMAT", ("text", "json")),
            shim=read.switch("MPIJOB_SHIM", default=True),
            inside=INSIDE in environ,
            temporary=environ.get("TMPDIR") or "/tmp",  # noqa: S108 - POSIX's default
        )


def read_log_format(environ: Mapping[str, str]) -> str:
    """Return ``json`` if asked for, else ``text``; for complaints about all other settings."""
    return "json" if environ.get("MPIJOB_LOG_FORMAT") == "json" else "text"


class _Reader:
    """Reads ``MPIJOB_…`` variables and names the variable in every complaint."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str) -> str | None:
        return self._environ.get(name) or None

    def plain_path(self, name: str) -> str | None:
        """Return a path that ssh, sshd and mpirun take without quotes, which they do not know."""
        text = self.text(name)
        if text is not None and not _PLAIN_PATH.fullmatch(text):
            raise self._wrong(name, text, "an absolute path of letters, digits, '.', '_', '-', '/'")
        return text

    def host_names(self, name: str) -> tuple[str, ...]:
        """Return names or addresses, given with commas or blanks between."""
        names = self._environ.get(name, "").replace(",", " ").split()
        for text in names:
            if not _HOST_NAME.fullmatch(text):
                raise self._wrong(name, text, "host names or addresses with commas between")
        return tuple(names)

    def seconds(self, name: str, default: float, flag: float | None) -> float:
        text = self._environ.get(name) if flag is None else str(flag)
        if not text:
            return default
        value = parse_seconds(text)
        if value is None:
            raise self._wrong(name, text, TIME_WANTED)
        return value

    def switch(self, name: str, *, default: bool) -> bool:
        text = self._environ.get(name)
        if not text:
            return default
        value = parse_switch(text)
        if value is None:
            raise self._wrong(name, text, SWITCH_WANTED)
        return value

    def port(self, name: str, default: int) -> int:
        text = self._environ.get(name)
        if not text:
            return default
        digits = text.isascii() and text.isdigit() and len(text) <= _PORT_DIGITS
        if not (digits and 1 <= int(text) <= _LARGEST_PORT):
            raise self._wrong(name, text, f"a port from 1 to {_LARGEST_PORT}")
        return int(text)

    def words(self, name: str) -> tuple[str, ...]:
        return tuple(w for w in self._environ.get(name, "").replace(",", " ").split() if w)

    def choice(self, name: str, choices: Sequence[str], flag: str | None = None) -> str:
        text = flag or self._environ.get(name) or choices[0]
        if text not in choices:
            raise self._wrong(name, text, " or ".join(choices))
        return text

    @staticmethod
    def _wrong(name: str, found: str, wanted: str) -> UsageError:
        flag = next((v.flag for v in VARIABLES if v.name == name and v.flag), "")
        where = f"{name} ({flag})" if flag else name
        return UsageError(f"{where}: found {found[:40]!r}, wanted {wanted}")


def parse_env_flags(items: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that ``--env NAME``, ``PATTERN*`` and ``NAME=VALUE`` items ask for.

    A pattern leaves out secrets; a secret that is named is an error, because what goes to the
    ranks passes mpirun, its daemons and their logs.

    Raises:
        UsageError: for an impossible name, a secret, or a NAME that is not set here.
    """
    forwarded: dict[str, str] = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals and _is_pattern(name):
            forwarded |= matching_variables(environ, (name,))
            continue
        if not name.isidentifier() or not name.isascii():
            message = f"--env {item!r}: found {name!r}, wanted NAME, PATTERN* or NAME=VALUE"
            raise UsageError(message)
        if is_secret(name):
            remedy = "give it to the workers in their spec, by env.valueFrom.secretKeyRef"
            raise UsageError(f"--env {name}: a secret is not forwarded", remedy=remedy)
        if not equals and name not in environ:
            message = f"--env {name}: not set in the launcher's environment"
            raise UsageError(message, remedy=f"give a value: --env {name}=VALUE")
        forwarded[name] = value if equals else environ[name]
    return forwarded


def matching_variables(environ: Mapping[str, str], patterns: Sequence[str]) -> dict[str, str]:
    """Return the variables whose names match a pattern, without secrets."""
    return {
        name: value
        for name, value in environ.items()
        if any(fnmatchcase(name, pattern) for pattern in patterns) and not is_secret(name)
    }


def _is_pattern(text: str) -> bool:
    return bool(set(text) & set("*?["))
