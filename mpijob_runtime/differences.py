"""What differs between the ranks' environments and ought not to.

Layer: pure; imports masking, outcome for words, records.
"""

from collections.abc import Iterable, Mapping

from mpijob_runtime.masking import shown_value
from mpijob_runtime.outcome import format_ranks
from mpijob_runtime.records import RankRecord

_SHOWN_CHARACTERS = 60
_SHOWN_VALUES = 4
_ABSENT = "(not set)"


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
    if not differences:
        return ""
    lines = ["ranks differ in what they should have alike:"]
    for name, values in differences.items():
        shown = sorted(values.items(), key=lambda item: (-len(item[1]), item[1]))
        for number, (value, ranks) in enumerate(shown[:_SHOWN_VALUES]):
            label = name if number == 0 else ""
            lines.append(f"  {label:<20} {format_ranks(ranks):<14} {_short(name, value)}")
        if len(shown) > _SHOWN_VALUES:
            lines.append(f"  {'':<20} … and {len(shown) - _SHOWN_VALUES} more values")
    return "\n".join(lines)


def _compared(record: RankRecord) -> dict[str, str]:
    versions = {f"version of {name}": value for name, value in record.versions.items()}
    return {**record.environ, **versions}


def _short(name: str, value: str) -> str:
    text = shown_value(name, value) or "(empty)"
    text = text.replace("\n", "\\n")
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"
