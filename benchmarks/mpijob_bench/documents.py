"""JSON files with a published schema: read whole or refused with every problem, written whole.

Layer: reads and writes files; imports errors. The schemas are in schema/.
"""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any, NoReturn

import jsonschema

from mpijob_bench.errors import ResultError
from mpijob_runtime.errors import Problem

_LARGEST_BYTES = 256 << 20
_SHOWN_CHARACTERS = 60

Document = dict[str, Any]


def read_bytes(path: str, *, wanted: str, remedy: str) -> bytes:
    """Return a file's bytes.

    Raises:
        ResultError: if it cannot be read or is larger than 256 MiB.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        problem = Problem(0, error.strerror or "nothing", "a readable file")
        raise ResultError(path, [problem], remedy=remedy) from error
    if len(data) > _LARGEST_BYTES:
        problem = Problem(0, f"more than {_LARGEST_BYTES >> 20} MiB", wanted)
        raise ResultError(path, [problem], remedy=remedy)
    return data


def parse_json(data: bytes, *, path: str, remedy: str) -> object:
    """Return what a file's bytes say in JSON.

    Raises:
        ResultError: if they are no JSON, have NaN or an infinite number, or a key twice.
    """
    try:
        return json.loads(data, parse_constant=_refuse_constant, object_pairs_hook=_each_key_once)
    except json.JSONDecodeError as error:
        problem = Problem(error.lineno, error.msg[0].lower() + error.msg[1:], "JSON, all of it")
        raise ResultError(path, [problem], remedy=remedy) from error
    except (ValueError, RecursionError) as error:  # not UTF-8, NaN, nested too deep
        problem = Problem(0, str(error)[:_SHOWN_CHARACTERS], "JSON")
        raise ResultError(path, [problem], remedy=remedy) from error


def parse_document(data: bytes, *, schema_file: str, path: str, remedy: str) -> Document:
    """Return the document in a file's bytes.

    Raises:
        ResultError: if it does not follow its schema; with every problem in it.
    """
    found = parse_json(data, path=path, remedy=remedy)
    if problems := [*dict.fromkeys(_against_schema(found, schema_file))]:
        raise ResultError(path, problems, remedy=remedy)
    assert isinstance(found, dict)  # the schemas say so
    return found


def format_document(document: Mapping[str, Any], *, path: str, remedy: str) -> bytes:
    """Return a document as JSON.

    Raises:
        ResultError: if it has NaN or an infinite number.
    """
    try:
        return json.dumps(document, indent=1, allow_nan=False).encode() + b"\n"
    except ValueError as error:
        raise ResultError(
            path, [Problem(0, str(error), "finite numbers")], remedy=remedy
        ) from error


def write_whole(path: str, data: bytes) -> None:
    """Write a file: whole, or not at all.

    Raises:
        OSError: if it cannot be written.
    """
    directory = os.path.dirname(os.path.abspath(path))
    with tempfile.NamedTemporaryFile(dir=directory, delete=False) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


@cache
def _validator(schema_file: str) -> jsonschema.Draft202012Validator:
    text = (resources.files("mpijob_bench") / "schema" / schema_file).read_text("utf-8")
    return jsonschema.Draft202012Validator(json.loads(text))


def _against_schema(found: object, schema_file: str) -> Iterator[Problem]:
    for error in _validator(schema_file).iter_errors(found):
        where = error.json_path.removeprefix("$").removeprefix(".")
        yield Problem(0, _shown(error.instance), _wanted(error), where)


def _wanted(error: jsonschema.ValidationError) -> str:
    value: Any = error.validator_value
    if error.validator == "required":
        there: Any = error.instance
        missing = [name for name in value if name not in there]
        return f"the key {', '.join(missing)} as well"
    if error.validator == "additionalProperties":
        schema: Any = error.schema
        there, known = error.instance, schema["properties"]
        return f"no key {', '.join(name for name in there if name not in known)}"
    words = {
        "const": lambda: repr(value),
        "enum": lambda: " or ".join(map(repr, value)),
        "type": lambda: " or ".join([value] if isinstance(value, str) else value),
        "minimum": lambda: f"at least {value}",
        "exclusiveMinimum": lambda: f"more than {value}",
    }.get(str(error.validator))
    return words() if words else f"{error.validator} {value}"[:_SHOWN_CHARACTERS]


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"


def _each_key_once(pairs: list[tuple[str, Any]]) -> Document:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} twice in one object")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name}, which is no number")
