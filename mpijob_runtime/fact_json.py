"""Facts as JSON, for the way from a worker to the launcher.

Any frozen record of plain fields can travel. What comes back is not believed: it may be of another
version, or of a worker that lies. A field that is missing has its default, one that is unknown is
left out, and anything else that does not fit is an error that names the place.

Layer: pure; imports nothing of ours.
"""

import dataclasses
import functools
import types
import typing

Record = typing.TypeVar("Record")
_LONGEST_TEXT = 500
_LONGEST_LIST = 10_000
_GREATEST = 1 << 64


class FactsError(ValueError):
    """What came as facts is something else."""


def facts_to_json(facts: object) -> dict[str, object]:
    """Return a record of facts as plain data.

    Raises:
        TypeError: if it is no record.
    """
    if not dataclasses.is_dataclass(facts) or isinstance(facts, type):
        raise TypeError(f"not a record of facts: {type(facts).__name__}")
    return dataclasses.asdict(facts)


def facts_from_json(kind: type[Record], data: object) -> Record:
    """Return the record that ``facts_to_json`` was given.

    Args:
        kind: a frozen dataclass of texts, numbers, truths, tuples and such records.
        data: what json.loads gave.

    Raises:
        FactsError: if a value is not of its field's kind, a text cannot be printed or is longer
            than 500 characters, or a list has more than 10,000 items.
    """
    found = _convert(kind, data, kind.__name__)
    return typing.cast("Record", found)


def _convert(kind: object, data: object, where: str) -> object:
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _record(kind, data, where)
    arguments = typing.get_args(kind)
    if isinstance(kind, types.UnionType):
        return None if data is None else _convert(arguments[0], data, where)
    if typing.get_origin(kind) is tuple:
        if not isinstance(data, list) or len(data) > _LONGEST_LIST:
            raise FactsError(f"{where}: found {_shown(data)}, wanted a list")
        return tuple(_convert(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(data))
    return _plain(kind, data, where)


def _record(kind: type, data: object, where: str) -> object:
    if not isinstance(data, dict):
        raise FactsError(f"{where}: found {_shown(data)}, wanted an object")
    kinds = _type_hints(kind)
    values = {}
    for field in dataclasses.fields(kind):
        if field.name in data:
            values[field.name] = _convert(
                kinds[field.name], data[field.name], f"{where}.{field.name}"
            )
        elif field.default is dataclasses.MISSING:
            raise FactsError(f"{where}.{field.name}: found nothing")
    return kind(**values)


@functools.cache
def _type_hints(kind: type) -> dict[str, object]:
    return typing.get_type_hints(kind)


def _plain(kind: object, data: object, where: str) -> object:
    if kind is bool and isinstance(data, bool):
        return data
    if kind is int and isinstance(data, int) and not isinstance(data, bool):
        if abs(data) < _GREATEST:
            return data
        raise FactsError(f"{where}: found a number beyond 64 bits")
    if kind is str and isinstance(data, str):
        if data.isprintable() and len(data) <= _LONGEST_TEXT:
            return data
        raise FactsError(f"{where}: found a text that is too long or cannot be printed")
    wanted = {bool: "true or false", int: "a whole number", str: "a text"}
    raise FactsError(f"{where}: found {_shown(data)}, wanted {wanted[typing.cast('type', kind)]}")


def _shown(data: object) -> str:
    if isinstance(data, (dict, list)):
        return "an object" if isinstance(data, dict) else f"a list of {len(data)}"
    text = repr(data)
    return text if len(text) <= 40 else f"{text[:39]}…"  # noqa: PLR2004
