"""``--ignore``: which fields a pattern leaves out, and which patterns leave out given fields.

Layer: pure.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from mpijob_local.yamlfile import Location, Value

_GONE = object()


@dataclass(slots=True)
class Pruned:
    """A document without some of its fields.

    Attributes:
        data: what is left.
        ignored: the fields that went; not what was below them.
    """

    data: Value = None
    ignored: list[Location] = field(default_factory=list)
    _kept: dict[Location, list[int]] = field(default_factory=dict)

    def original(self, location: Location) -> Location:
        """Return where a field of ``data`` stands in the whole document."""
        found: Location = ()
        for part in location:
            kept = self._kept.get(found, [])
            if isinstance(part, int) and part < len(kept):
                part = kept[part]  # noqa: PLW2901 - the same item's former index
            found = (*found, part)
        return found

    def note_kept(self, location: Location, indexes: list[int]) -> None:
        """Note which items of a list are left."""
        self._kept[location] = indexes


def format_field(location: Location) -> str:
    """Format a location as Kubernetes does: ``spec.containers[0].name``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")


def matches(location: Location, patterns: Sequence[str]) -> bool:
    """Tell whether a field's own name, or its path, is that of a pattern."""
    name = location[-1] if location and isinstance(location[-1], str) else None
    path = format_field(location)
    # Brackets are indexes in a field path, not sets of characters.
    escaped = [pattern.replace("[", "[[]") for pattern in patterns]
    return any(
        fnmatchcase(path, pattern) or (name is not None and fnmatchcase(name, pattern))
        for pattern in escaped
    )


def prune(data: Value, drop: Callable[[Location], bool]) -> Pruned:
    """Return a document without some fields and list items, and without maps that this empties.

    Args:
        data: the document; it stays as it is.
        drop: tells whether the field at a location goes, with all below it.
    """
    pruned = Pruned()
    pruned.data = _prune(data, (), drop, pruned)
    return pruned


def _prune(value: Value, at: Location, drop: Callable[[Location], bool], pruned: Pruned) -> Value:
    if at and drop(at):
        pruned.ignored.append(at)
        return _GONE
    if isinstance(value, dict):
        items = {key: _prune(item, (*at, key), drop, pruned) for key, item in value.items()}
        kept = {key: item for key, item in items.items() if item is not _GONE}
        return _GONE if at and items and not kept else kept
    if isinstance(value, list):
        found = [_prune(item, (*at, i), drop, pruned) for i, item in enumerate(value)]
        pruned.note_kept(at, [i for i, item in enumerate(found) if item is not _GONE])
        return [item for item in found if item is not _GONE]
    return value


def patterns_for(data: Value, chosen: Collection[Location]) -> list[str]:
    """Return patterns that leave out the chosen fields of a document, and nothing else.

    The shortest that does: ``nodeSelector``, ``*.volumes[1]``, else the whole path.
    """
    everything = list(_locations(data, ()))
    patterns: list[str] = []
    for location in sorted(chosen, key=everything.index):
        if not matches(location, patterns) and not _is_below(location[:-1], chosen):
            patterns.append(_pattern_for(location, everything, chosen))
    return patterns


def _pattern_for(
    location: Location, everything: Sequence[Location], chosen: Collection[Location]
) -> str:
    for pattern in _candidates(location):
        hit = [found for found in everything if matches(found, [pattern])]
        if location in hit and all(_is_below(found, chosen) for found in hit):
            return pattern
    return format_field(location)


def _candidates(location: Location) -> Iterator[str]:
    last_name = max(i for i, part in enumerate(location) if isinstance(part, str))
    tail = format_field(location[last_name:])
    if last_name == len(location) - 1:
        yield tail
    yield f"*.{tail}"
    for role in ("Launcher", "Worker"):
        if role in location:
            yield f"*.{role}.*.{tail}"


def _is_below(location: Location, chosen: Collection[Location]) -> bool:
    """Tell whether a field, or one around it, is among the chosen."""
    return any(location[:end] in chosen for end in range(1, len(location) + 1))


def _locations(value: Value, at: Location) -> Iterator[Location]:
    if at:
        yield at
    items = value.items() if isinstance(value, dict) else ()
    for key, item in enumerate(value) if isinstance(value, list) else items:
        yield from _locations(item, (*at, key))
