"""What differs between the ranks' environments and ought not to.

Layer: pure; imports masking, outcome for words, records.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from mpijob_runtime.masking import shown_value
from mpijob_runtime.outcome import format_ranks
from mpijob_runtime.records import RankRecord

_SHOWN_CHARACTERS = 60
_SHOWN_VALUES = 4
_OWNERS_WIDTH = 14
_WIDEST_OWNERS = 40
_ABSENT = "(not set)"
_SEARCH_PATHS = frozenset({"PATH", "LD_LIBRARY_PATH", "PYTHONPATH"})

Owner = TypeVar("Owner", int, str)


def find_differences(starts: Iterable[RankRecord]) -> dict[str, dict[str, list[int]]]:
    """Return name -> value -> its ranks, for each variable and version that is not the same.

    Variables that mpirun itself makes per rank are not among those that the wrapper reports.
    """
    compared = {record.rank: _compared(record) for record in starts}
    names = {name for variables in compared.values() for name in variables}
    found: dict[str, dict[str, list[int]]] = {}
    for name in sorted(names):
        values: dict[str, list[int]] = {}
        for rank, variables in sorted(compared.items()):
            values.setdefault(variables.get(name, _ABSENT), []).append(rank)
        if len(values) > 1:
            found[name] = values
    return found


def format_differences(differences: Mapping[str, Mapping[str, list[int]]]) -> str:
    """Return a table for people, or nothing if there is no difference."""
    return format_table("ranks differ in what they should have alike:", differences, format_ranks)


def format_table(
    title: str,
    differences: Mapping[str, Mapping[str, list[Owner]]],
    format_owners: Callable[[list[Owner]], str],
) -> str:
    """Return a table of names, owners and their values, or nothing if there is no difference.

    Args:
        title: the first line.
        differences: name -> value -> who has it.
        format_owners: puts those who have a value into words.
    """
    if not differences:
        return ""
    rows: list[tuple[str, str, str]] = []
    for name, values in differences.items():
        shown = sorted(values.items(), key=lambda item: (-len(item[1]), item[1]))
        for number, (value, owners) in enumerate(shown[:_SHOWN_VALUES]):
            label = name if number == 0 else ""
            rows.append((label, format_owners(owners), _short(name, value)))
        if len(shown) > _SHOWN_VALUES:
            rows.append(("", f"… and {len(shown) - _SHOWN_VALUES} more values", ""))
    return "\n".join([title, *_align(rows)])


def _align(rows: list[tuple[str, str, str]]) -> list[str]:
    longest = max((len(owners) for _, owners, value in rows if value), default=0)
    width = min(max(_OWNERS_WIDTH, longest), _WIDEST_OWNERS)
    return [f"  {label:<20} {owners:<{width}} {value}".rstrip() for label, owners, value in rows]


def _compared(record: RankRecord) -> dict[str, str]:
    environ = {name: _meaning(name, value) for name, value in record.environ.items()}
    versions = {f"version of {name}": value for name, value in record.versions.items()}
    zone = {"time zone": f"UTC{record.zone}"} if record.zone else {}
    return {name: value for name, value in environ.items() if value is not None} | versions | zone


def _meaning(name: str, value: str) -> str | None:
    """Return a search path without empty and repeated parts, which mpirun and shells add.

    One without any part is None, as if it were not set.
    """
    if name not in _SEARCH_PATHS:
        return value
    return ":".join(dict.fromkeys(filter(None, value.split(":")))) or None


def _short(name: str, value: str) -> str:
    text = shown_value(name, value) or "(empty)"
    text = text.replace("\n", "\\n")
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"
