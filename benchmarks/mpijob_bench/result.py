"""``result.json``: the launches of a benchmark, and what speaks for or against them.

Layer: reads and writes files; imports errors. The format is schema/scalebench-1.json; keys that
it does not know are kept.
"""

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any, NoReturn

import jsonschema

from mpijob_bench.errors import ResultError
from mpijob_runtime.errors import Problem

SCHEMA = "scalebench/1"
_SCHEMA_FILE = "scalebench-1.json"
_LARGEST_BYTES = 256 << 20
_SHOWN_CHARACTERS = 60
_REMEDY = "a result is written by mpijob-bench run or emulate; its form is schema/scalebench-1.json"

Result = dict[str, Any]


def read_result(path: str) -> Result:
    """Read a result and check it.

    Raises:
        ResultError: if it cannot be read or is none; with every problem in it.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise _wrong(path, [Problem(0, error.strerror or "nothing", "a readable file")]) from error
    if len(data) > _LARGEST_BYTES:
        found = f"more than {_LARGEST_BYTES >> 20} MiB"
        raise _wrong(path, [Problem(0, found, "a result")])
    return parse_result(data, path=path)


def parse_result(data: bytes, *, path: str = "result") -> Result:
    """Return the result in a file's bytes.

    Raises:
        ResultError: if it is none; with every problem in it.
    """
    try:
        found = json.loads(data, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        problem = Problem(error.lineno, error.msg[0].lower() + error.msg[1:], "JSON, all of it")
        raise _wrong(path, [problem]) from error
    except (ValueError, RecursionError) as error:  # not UTF-8, NaN, nested too deep
        raise _wrong(path, [Problem(0, str(error)[:_SHOWN_CHARACTERS], "JSON")]) from error
    problems = [*_against_schema(found)]
    problems += [] if problems else _together(found)
    if problems:
        raise _wrong(path, problems)
    return dict(found)


def write_result(path: str, result: Mapping[str, Any]) -> None:
    """Check a result and write it: whole, or not at all.

    Raises:
        ResultError: if it is none.
        OSError: if it cannot be written.
    """
    try:
        data = json.dumps(result, indent=1, allow_nan=False).encode() + b"\n"
    except ValueError as error:
        raise _wrong(path, [Problem(0, str(error), "finite numbers")]) from error
    parse_result(data, path=path)
    directory = os.path.dirname(os.path.abspath(path))
    with tempfile.NamedTemporaryFile(dir=directory, delete=False) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def check_plan(result: Result, plan_file: str, *, path: str) -> None:
    """Check that a result is of the plan in a file, by the hash of the file's bytes.

    Raises:
        ResultError: if it is of another, or the file cannot be read.
    """
    try:
        with open(plan_file, "rb") as file:
            wanted = hashlib.sha256(file.read(_LARGEST_BYTES)).hexdigest()
    except OSError as error:
        problem = Problem(0, error.strerror or "nothing", "a plan")
        raise _wrong(plan_file, [problem]) from error
    found = result["plan"]["hash"]
    if found != wanted:
        problem = Problem(0, repr(found), f"{wanted!r}, the SHA-256 of {plan_file}", "plan.hash")
        raise _wrong(path, [problem])


@cache
def _validator() -> jsonschema.Draft202012Validator:
    text = (resources.files("mpijob_bench") / "schema" / _SCHEMA_FILE).read_text("utf-8")
    return jsonschema.Draft202012Validator(json.loads(text))


def _against_schema(found: object) -> Iterator[Problem]:
    for error in _validator().iter_errors(found):
        where = error.json_path.removeprefix("$").removeprefix(".")
        yield Problem(0, _shown(error.instance), _wanted(error), where)


def _together(found: Result) -> Iterator[Problem]:
    """Yield what no schema can say: what must fit together."""
    nodes = found["plan"]["nodes"]
    orders = [pair["order"] for pair in found["pairs"]]
    if len(set(orders)) < len(orders):
        yield Problem(0, "one order twice", "an order for each pair", "pairs")
    for number, pair in enumerate(found["pairs"]):
        where = f"pairs[{number}]"
        if pair.get("fidelity", found["fidelity"]) != found["fidelity"]:
            wanted = f"{found['fidelity']!r}, as the result: fidelities do not mix"
            yield Problem(0, repr(pair["fidelity"]), wanted, f"{where}.fidelity")
        if pair["status"] != "ok":
            continue
        rates = [*pair["alone"], pair["together"]]
        if len(pair["alone"]) != nodes:
            wanted = f"one for each of the {nodes} nodes"
            yield Problem(0, f"{len(pair['alone'])} rates", wanted, f"{where}.alone")
        elif not all(math.isfinite(rate) for rate in rates):
            yield Problem(0, "a rate that is not finite", "samples per second", where)


def _wanted(error: jsonschema.ValidationError) -> str:
    value: Any = error.validator_value
    if error.validator == "required":
        there: Any = error.instance
        missing = [name for name in value if name not in there]
        return f"the key {', '.join(missing)} as well"
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


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name}, which is no number")


def _wrong(path: str, problems: list[Problem]) -> ResultError:
    return ResultError(path, problems, remedy=_REMEDY)
