"""JSON files with a published schema: read whole or refused with every problem, written whole.

Layer: reads and writes files; imports errors. The schemas are in schema/.
"""

import errno
import json
import math
import os
import re
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import resources
from typing import Any, NoReturn

import jsonschema

from mpijob_bench.errors import ResultError
from mpijob_runtime.errors import ConfigurationError, Problem

_LARGEST_BYTES = 256 << 20
_SHOWN_CHARACTERS = 60
_MOST_DIGITS = 300  # a float holds no more
_STDIN = "/dev/stdin"
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

Document = dict[str, Any]


def read_bytes(path: str, *, wanted: str, remedy: str) -> bytes:
    """Return a file's bytes.

    Only what is a file, or what the process was given as standard input.

    Raises:
        ResultError: if it cannot be read or is larger than 256 MiB.
    """
    try:
        data = _read_regular(path)
    except OSError as error:
        problem = Problem(0, error.strerror or "nothing", "a readable file")
        raise ResultError(path or "''", [problem], remedy=remedy) from error
    if len(data) > _LARGEST_BYTES:
        problem = Problem(0, f"more than {_LARGEST_BYTES >> 20} MiB", wanted)
        raise ResultError(path, [problem], remedy=remedy)
    return data


def check_regular(path: str) -> None:
    """Refuse what is no file: a named pipe without a writer would be waited for without end.

    Raises:
        OSError: it is none, or is not there.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "no regular file", path)


def _read_regular(path: str) -> bytes:
    if path != _STDIN:
        check_regular(path)
    with open(path, "rb") as file:
        return file.read(_LARGEST_BYTES + 1)


def parse_json(data: bytes, *, path: str, remedy: str) -> object:
    """Return what a file's bytes say in JSON.

    Raises:
        ResultError: if they are no JSON, have NaN or an infinite number, or a key twice.
    """
    try:
        return strict_json(data)
    except json.JSONDecodeError as error:
        problem = Problem(error.lineno, error.msg[0].lower() + error.msg[1:], "JSON, all of it")
        raise ResultError(path, [problem], remedy=remedy) from error
    except UnicodeError as error:
        problem = Problem(0, str(error)[:_SHOWN_CHARACTERS], "JSON in UTF-8")
        raise ResultError(path, [problem], remedy=remedy) from error
    except (ValueError, RecursionError) as error:  # NaN, a key twice, nested too deep
        problem = Problem(0, str(error)[:_SHOWN_CHARACTERS], "JSON")
        raise ResultError(path, [problem], remedy=remedy) from error


def strict_json(data: bytes) -> object:
    """Return what bytes say in JSON, as RFC 8259 has it: in UTF-8, finite, each key once.

    Raises:
        ValueError: they do not; also for numbers beyond any float.
    """
    text = data.decode("utf-8")
    found = json.loads(
        text,
        parse_constant=_refuse_constant,
        parse_float=_finite,
        parse_int=_short_int,
        object_pairs_hook=_each_key_once,
    )
    if _SURROGATE.search(text):  # half a character, which no output takes
        json.dumps(found, ensure_ascii=False).encode()
    return found


def parse_document(data: bytes, *, schema_file: str, path: str, remedy: str) -> Document:
    """Return the document in a file's bytes.

    Raises:
        ResultError: if it does not follow its schema; with every problem in it.
    """
    found = parse_json(data, path=path, remedy=remedy)
    if problems := schema_problems(found, schema_file):
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


def json_line(value: Mapping[str, Any]) -> bytes:
    """Return an object as a line of a file that has one on each.

    Raises:
        ValueError: if it has NaN or an infinite number.
    """
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def write_whole(path: str, data: bytes) -> None:
    """Write a file: whole, or not at all.

    Raises:
        ConfigurationError: if it cannot be written.
    """
    directory, name = os.path.split(os.path.abspath(path))
    with writing(path):
        descriptor, temporary = tempfile.mkstemp(dir=directory, prefix=f".{name}-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except OSError:
            os.unlink(temporary)
            raise


@contextmanager
def writing(path: object) -> Iterator[None]:
    """Say of a file that cannot be written what to do.

    Raises:
        ConfigurationError: instead of an OSError.
    """
    try:
        yield
    except OSError as error:
        message = f"{path}: cannot write: {error.strerror or error}"
        remedy = f"a place with room that user {os.getuid()} can write to, by --out"
        raise ConfigurationError(message, remedy=remedy) from error


@cache
def _validator(schema_file: str) -> jsonschema.Draft202012Validator:
    text = (resources.files("mpijob_bench") / "schema" / schema_file).read_text("utf-8")
    return jsonschema.Draft202012Validator(json.loads(text))


def schema_problems(found: object, schema_file: str) -> list[Problem]:
    """Return what is wrong with JSON by a schema; of lists that are too long only that."""
    problems = [*_too_long(found, schema_file)] or _against_schema(found, schema_file)
    return [*dict.fromkeys(problems)]


def _too_long(found: object, schema_file: str) -> Iterator[Problem]:
    schema: Any = _validator(schema_file).schema
    for name, part in schema["properties"].items():
        items = found.get(name) if isinstance(found, dict) else None
        if isinstance(items, list) and len(items) > part.get("maxItems", len(items)):
            yield Problem(0, f"{len(items)} items", f"at most {part['maxItems']}", name)


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
        "maximum": lambda: f"at most {value}",
        "maxItems": lambda: f"at most {value} items",
        "exclusiveMinimum": lambda: f"more than {value}",
    }.get(str(error.validator))
    return words() if words else f"{error.validator} {value}"[:_SHOWN_CHARACTERS]


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"


def _each_key_once(pairs: list[tuple[str, Any]]) -> Document:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen = set[str]()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} twice in one object")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name}, which is no number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text:.20}, which is beyond any float")
    return number


def _short_int(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)
