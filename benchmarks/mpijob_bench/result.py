"""``result.json``: the launches of a benchmark, and what speaks for or against them.

Layer: reads and writes files; imports documents and errors. The format is
schema/scalebench-1.json; keys that it does not know are kept.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from mpijob_bench.documents import (
    format_document,
    parse_document,
    read_bytes,
    write_whole,
)
from mpijob_bench.errors import ResultError
from mpijob_runtime.errors import Problem

SCHEMA = "scalebench/1"
_SCHEMA_FILE = "scalebench-1.json"
_REMEDY = "a result is written by mpijob-bench run or emulate; its form is schema/scalebench-1.json"

Result = dict[str, Any]


def read_result(path: str) -> Result:
    """Read a result and check it.

    Raises:
        ResultError: if it cannot be read or is none; with every problem in it.
    """
    return parse_result(read_bytes(path, wanted="a result", remedy=_REMEDY), path=path)


def parse_result(data: bytes, *, path: str = "result") -> Result:
    """Return the result in a file's bytes.

    Raises:
        ResultError: if it is none; with every problem in it.
    """
    found = parse_document(data, schema_file=_SCHEMA_FILE, path=path, remedy=_REMEDY)
    if problems := [*_together(found)]:
        raise _wrong(path, problems)
    return found


def write_result(path: str, result: Mapping[str, Any]) -> None:
    """Check a result and write it: whole, or not at all.

    Raises:
        ResultError: if it is none.
        ConfigurationError: if it cannot be written.
    """
    data = format_document(result, path=path, remedy=_REMEDY)
    parse_result(data, path=path)
    write_whole(path, data)


def with_comm(result: Result, comm: Mapping[str, Any], *, path: str) -> Result:
    """Return a result with another sweep over collectives.

    Args:
        result: that was read.
        comm: the document of the sweep.
        path: of its file, for errors.

    Raises:
        ResultError: if the sweep is of another fidelity: a prediction does not mix them either.
    """
    changed = {**result, "comm": comm}
    if problems := [*_one_fidelity(changed)]:
        raise _wrong(path, problems)
    return changed


def check_plan(result: Result, plan_file: str, *, path: str) -> None:
    """Check that a result is of the plan in a file, by the hash of the file's bytes.

    Target, nodes, pairs and extension, where the file is JSON and has them, must be the result's.

    Raises:
        ResultError: if it is of another, or the file cannot be read.
    """
    plan = read_bytes(plan_file, wanted="a plan", remedy=_REMEDY)
    wanted = hashlib.sha256(plan).hexdigest()
    found = result["plan"]["hash"]
    if found != wanted:
        problem = Problem(0, repr(found), f"{wanted!r}, the SHA-256 of {plan_file}", "plan.hash")
        raise _wrong(path, [problem])
    if problems := [*_changed(result["plan"], plan, plan_file)]:
        raise _wrong(path, problems)


def _changed(found: Mapping[str, Any], plan: bytes, plan_file: str) -> Iterator[Problem]:
    try:
        told = json.loads(plan)
    except (ValueError, RecursionError):
        return  # a plan of another tool: its hash is all there is
    if not isinstance(told, dict):
        return
    told, found = ({"extension": 0, **plan} for plan in (told, found))
    for name in ("target", "nodes", "pairs", "extension"):
        if name in told and told[name] != found[name]:
            wanted = f"{told[name]!r}, as {plan_file} has it"
            yield Problem(0, repr(found[name]), wanted, f"plan.{name}")


def _together(found: Result) -> Iterator[Problem]:
    """Yield what no schema can say: what must fit together."""
    nodes = found["plan"]["nodes"]
    orders = [pair["order"] for pair in found["pairs"]]
    if len(set(orders)) < len(orders):
        yield Problem(0, "one order twice", "an order for each pair", "pairs")
    for number, pair in enumerate(found["pairs"]):
        where = f"pairs[{number}]"
        if pair["status"] != "ok":
            continue
        if len(pair["alone"]) != nodes:
            wanted = f"one for each of the {nodes} nodes"
            yield Problem(0, f"{len(pair['alone'])} rates", wanted, f"{where}.alone")
        elif not 0 < pair["together"] / math.fsum(pair["alone"]) < math.inf:
            yield Problem(0, "rates whose ratio is no number", "samples per second", where)
    yield from _one_fidelity(found)


def _one_fidelity(found: Result) -> Iterator[Problem]:
    """Yield the parts of a result whose numbers come from elsewhere than the result's."""
    parts: dict[str, Any] = {f"pairs[{n}]": pair for n, pair in enumerate(found["pairs"])}
    launches = found.get("launches")
    if isinstance(launches, list):
        parts |= {f"launches[{number}]": launch for number, launch in enumerate(launches)}
    parts |= {f"guards[{number}]": guard for number, guard in enumerate(found["guards"])}
    parts |= {name: found.get(name) for name in ("plan", "transport", "comm")}
    wanted = f"{found['fidelity']!r}, as the result: fidelities do not mix"
    for where, part in parts.items():
        told = part.get("fidelity") if isinstance(part, dict) else None
        if told not in (None, found["fidelity"]):
            yield Problem(0, repr(told), wanted, f"{where}.fidelity")
    if found.get("emulation") and found["fidelity"] == "measured":
        yield Problem(0, "a section", "none in what was measured", "emulation")


def _wrong(path: str, problems: list[Problem]) -> ResultError:
    return ResultError(path, problems, remedy=_REMEDY)
