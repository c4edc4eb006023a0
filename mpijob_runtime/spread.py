"""Where the ranks are, against where the plan put them.

Layer: pure; imports hosts, outcome for words, records.
"""

from collections.abc import Iterable, Mapping, Sequence

from mpijob_runtime.hosts import short_name
from mpijob_runtime.outcome import format_ranks
from mpijob_runtime.records import RankRecord

_OWN_PLACEMENT = frozenset(
    {"H", "host", "hostfile", "machinefile", "rf", "rankfile", "oversubscribe", "map-by"}
    | {"npernode", "N", "ppr"}
)


def places_itself(arguments: Sequence[str]) -> bool:
    """Tell whether mpirun's arguments say themselves where ranks go.

    They are not parsed: a word that looks like such a flag is enough to leave the choice alone.
    """
    return any(w.startswith("-") and w.lstrip("-") in _OWN_PLACEMENT for w in arguments)


def place_ranks(
    planned: Mapping[str, int], starts: Iterable[RankRecord], *, aliases: Mapping[str, str]
) -> dict[str, list[int]]:
    """Return host -> ranks that started there; hosts outside the plan come last.

    Args:
        planned: host name -> slots.
        starts: records of ranks' starts; a host calls itself by its short name.
        aliases: how a host calls itself -> its name in the plan, where that is not its short name.
    """
    names = {short_name(name): name for name in planned} | {n: n for n in planned} | dict(aliases)
    placed: dict[str, list[int]] = {name: [] for name in planned}
    for record in starts:
        name = names.get(record.host) or names.get(short_name(record.host), record.host)
        placed.setdefault(name, []).append(record.rank)
    return {name: sorted(ranks) for name, ranks in placed.items()}


def find_misplaced(planned: Mapping[str, int], placed: Mapping[str, Sequence[int]]) -> list[str]:
    """Return what contradicts the plan, planned and found side by side.

    That is: hosts with more ranks than slots, and hosts that are not in the plan.
    """
    wrong = []
    for name, ranks in placed.items():
        slots = planned.get(name, 0)
        if len(ranks) > slots:
            found = f"found {len(ranks)}: {format_ranks(ranks)}"
            wrong.append(f"{name}: planned at most {slots} ranks, {found}")
    return wrong
