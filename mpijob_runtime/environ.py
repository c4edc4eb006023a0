"""The environment of mpirun, each variable with where it comes from and why.

Layer: pure; imports defaults, facts, hosts, settings.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mpijob_runtime import carried
from mpijob_runtime.defaults import defaults_for
from mpijob_runtime.facts import Facts
from mpijob_runtime.hosts import Hostfile
from mpijob_runtime.settings import Settings

Source = Literal["user", "operator", "probed", "default"]

DECIDED_AT_LAUNCH = "decided at launch"
MASK = "********"

_SECRET = re.compile(
    r"TOKEN(?!IZ)|SECRET|PASS(W|PHRASE|_|$)|PWD$|CREDENTIAL|AUTH(?!OR)|(API|ACCESS|PRIVATE)_?KEY"
    r"|_KEY$|_PAT$",
    re.IGNORECASE,
)
_SECRET_IN_URL = re.compile(r"://[^/@\s]*:[^/@\s]*@")


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of mpirun's environment.

    Attributes:
        value: its value, or None if only the launch decides it.
        source: whose word it is.
        why: one sentence.
    """

    value: str | None
    source: Source
    why: str


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the launcher's private files lie.

    Attributes:
        run_dir: the directory for all of them, mode 0700.
    """

    run_dir: str

    @property
    def hostfile(self) -> str:
        """The normalised copy of the hosts."""
        return f"{self.run_dir}/hostfile"

    @property
    def ssh_config(self) -> str:
        """The configuration for ssh(1)."""
        return f"{self.run_dir}/ssh_config"

    @property
    def known_hosts(self) -> str:
        """The host keys that are accepted."""
        return f"{self.run_dir}/known_hosts"

    @property
    def key(self) -> str:
        """The private copy of the job's key."""
        return f"{self.run_dir}/id"


def is_secret(name: str) -> bool:
    """Tell whether a variable's name says that its value must not be shown."""
    return _SECRET.search(name) is not None


def shown_value(name: str, value: str | None) -> str | None:
    """Return a value as it may be printed."""
    return MASK if value and (is_secret(name) or _SECRET_IN_URL.search(value)) else value


def assemble_environ(
    settings: Settings, facts: Facts, hosts: Hostfile, *, major: int, paths: Paths
) -> dict[str, Variable]:
    """Return the variables that this package decides, over the environment it was given.

    Args:
        settings: what was asked.
        facts: what this container shows.
        hosts: the job's hosts; the first is taken for rank 0's.
        major: the Open MPI generation.
        paths: where private files lie.
    """
    variables = _defaults(settings, facts, major=major, paths=paths)
    if major == 5:  # noqa: PLR2004 - the generation
        variables |= _operator_ssh_arguments(settings)
    variables |= _carried(settings, hosts)
    variables[carried.INSIDE] = Variable("1", "default", "a shim inside the job is the plain one")
    return variables


def apply_environ(base: Mapping[str, str], variables: Mapping[str, Variable]) -> dict[str, str]:
    """Return ``base`` with the decided variables laid over it."""
    decided = {name: v.value for name, v in variables.items() if v.value is not None}
    return {**base, **decided}


def _defaults(settings: Settings, facts: Facts, *, major: int, paths: Paths) -> dict[str, Variable]:
    places = {
        "hostfile": paths.hostfile,
        "ssh_config": paths.ssh_config,
        "rank_wrapper": facts.rank_wrapper or "",
    }
    variables = {}
    for row in defaults_for(major, facts):
        given = settings.environ.get(row.name)
        if given is not None and row.name not in settings.operator.variables:
            variables[row.name] = Variable(given, "user", "set by the user, left alone")
        else:
            value = row.value.format_map(places)
            source: Source = "default" if row.condition == "always" else "probed"
            variables[row.name] = Variable(value, source, row.why)
    return variables


def _operator_ssh_arguments(settings: Settings) -> dict[str, Variable]:
    """Give PRRTE the ssh arguments that operators set under the ORTE name only."""
    name = "OMPI_MCA_plm_rsh_args"
    given = settings.environ.get(name)
    if not given or "PRTE_MCA_plm_ssh_args" in settings.environ:
        return {}
    source: Source = "operator" if name in settings.operator.variables else "user"
    why = f"{name} under the name that Open MPI 5 reads"
    return {"PRTE_MCA_plm_ssh_args": Variable(given, source, why)}


def _users_or(settings: Settings, name: str, value: str) -> Variable:
    given = settings.environ.get(name)
    if given:
        return Variable(given, "user", f"{name} for the ranks, as the launcher has it")
    return Variable(value, "default", f"{name} for the ranks")


def _carried(settings: Settings, hosts: Hostfile) -> dict[str, Variable]:
    """Return what the rank wrapper is told.

    Open MPI forwards every ``OMPI_…`` variable to all ranks unchanged, newlines and quotes
    included (measured with 4.1.4 and 5.0.11), so this needs no ``-x`` on the command line.
    """
    port = str(settings.master_port)
    variables = {
        carried.ATTEMPT: Variable(None, "default", DECIDED_AT_LAUNCH),
        carried.MASTER_ADDR: _users_or(settings, "MASTER_ADDR", hosts.hosts[0].name),
        carried.MASTER_PORT: _users_or(settings, "MASTER_PORT", port),
    }
    for name, value in settings.forwarded.items():
        why = f"{name} for the ranks, by --env"
        variables[carried.ENV_PREFIX + name] = Variable(value, "user", why)
    return variables
