"""Where the ranks are, against where the plan put them.

Layer: pure; imports hosts, mpirun_line, outcome for words, records.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from mpijob_runtime.hosts import short_name
from mpijob_runtime.mpirun_line import read_options
from mpijob_runtime.outcome import count, format_ranks
from mpijob_runtime.records import RankRecord

Judgement = Literal["slots", "hosts", "none"]
"""What a rank's place is held against: slots of its host, hosts of the plan, or nothing."""

_OWN_PLACEMENT = frozenset(
    {"H", "host", "hostfile", "machinefile", "default-hostfile", "rf", "rankfile", "map-by"}
    | {"rank-by", "app", "tune", "am", "bynode", "npersocket"}
)
_NAMING_HOSTS = frozenset({"H", "host", "hostfile", "machinefile", "default-hostfile"})
_LONGEST_OPTION = 60
_MAPPING_VARIABLES = ("OMPI_MCA_rmaps_", "PRTE_MCA_rmaps_", "OMPI_MCA_orte_rankfile")


def choose_judgement(
    environ: Mapping[str, str], mpirun_arguments: Sequence[str] | None, *, major: int
) -> Judgement:
    """Return what can be held against a rank's place.

    Args:
        environ: a user's own mapping variables make the number of ranks a host gets their choice.
        mpirun_arguments: a user's whole mpirun line, or None where ``launch`` wrote it. Options
            for placement, before a program, leave the choice to the user.
        major: the generation of Open MPI.
    """
    if mpirun_arguments is None:
        own = any(name.startswith(_MAPPING_VARIABLES) for name in environ)
        return "hosts" if own else "slots"
    options = read_options(mpirun_arguments, major=major)
    return "none" if any(option.name in _OWN_PLACEMENT for option in options) else "hosts"


def describe_own_ranks(
    hosts: Mapping[str, Sequence[int]],
    hostname: str,
    mpirun_arguments: Sequence[str],
    *,
    major: int,
    verb: str,
) -> str:
    """Return that ranks are on the launcher itself, and which of mpirun's options put them there.

    Args:
        hosts: host -> its ranks, those of hosts outside of the plan included.
        hostname: how the launcher calls itself; it is not of the plan.
        mpirun_arguments: a user's whole mpirun line.
        major: the generation of Open MPI.
        verb: what the ranks do or did.
    """
    ranks = len(hosts.get(hostname, ()))
    if not ranks:
        return ""
    options = read_options(mpirun_arguments, major=major)
    naming = next((str(option) for option in options if option.name in _NAMING_HOSTS), "")
    asked = f"as {naming[:_LONGEST_OPTION]} asks" if naming else "as mpirun was told"
    return f"{count(ranks, 'rank')} {verb} on the launcher itself, {asked}"


class Placement:
    """Where ranks have started; every host of the plan is in it.

    Args:
        planned: host name -> slots.
        aliases: how a host calls itself -> its name in the plan, where that is not its short name.
        judgement: what to hold against a rank's place.
    """

    def __init__(
        self, planned: Mapping[str, int], *, aliases: Mapping[str, str], judgement: Judgement
    ) -> None:
        self._planned = planned
        self._judgement = judgement
        self._names = {short_name(n): n for n in planned} | {n: n for n in planned} | dict(aliases)
        self._placed: dict[str, set[int]] = {name: set() for name in planned}

    @property
    def planned(self) -> Mapping[str, int]:
        """Host -> slots, as planned."""
        return self._planned

    def add(self, start: RankRecord) -> bool:
        """Take a rank's start and return whether it is in a wrong place."""
        name = self._names.get(start.host) or self._names.get(short_name(start.host), start.host)
        ranks = self._placed.setdefault(name, set())
        ranks.add(start.rank)
        return self._is_wrong(name, ranks)

    @property
    def hosts(self) -> dict[str, list[int]]:
        """Host -> its ranks in order; hosts outside the plan come last."""
        return {name: sorted(ranks) for name, ranks in self._placed.items()}

    @property
    def misplaced(self) -> list[str]:
        """What contradicts the plan, planned and found side by side."""
        return [
            f"{name}: planned at most {self._planned.get(name, 0)} ranks, "
            f"found {len(ranks)}: {format_ranks(sorted(ranks))}"
            for name, ranks in self._placed.items()
            if self._is_wrong(name, ranks)
        ]

    def _is_wrong(self, name: str, ranks: set[int]) -> bool:
        if self._judgement == "none" or not ranks:
            return False
        outside = name not in self._planned
        return outside or (self._judgement == "slots" and len(ranks) > self._planned[name])
