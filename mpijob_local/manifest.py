"""Load an MPIJob manifest: everything that is wrong with it at once, each with its line.

Layer: reads one file through ``yamlfile``; the rest is pure.
"""

import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from itertools import chain
from typing import TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mpijob_local.ignoring import format_field, matches, patterns_for, prune
from mpijob_local.models import MPIJob, ReplicaSpec, Strict
from mpijob_local.operators import MPI_OPERATOR, Operator
from mpijob_local.validation import findings
from mpijob_local.yamlfile import Document, Location, Value, read_document
from mpijob_runtime.errors import ManifestError, Problem

_SHOWN_CHARACTERS = 60
_MOST_ROUNDS = 5
# pydantic's kinds of errors in the words of YAML
_WANTED = {
    "string_type": "a string",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "mapping_type": "a map",
    "dict_type": "a map",
    "model_type": "a map of fields",
    "model_attributes_type": "a map of fields",
    "too_short": "at least one item",
    "string_too_short": "a text that is not empty",
}
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line says instead of the manifest; None leaves it as it is."""

    image: str | None = None
    workers: int | None = None
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A valid manifest.

    Attributes:
        path: the file.
        job: what it says, with overrides applied.
        ignored: fields that were left out because the user said so.
    """

    path: str
    job: MPIJob
    ignored: tuple[str, ...]


def load_manifest(
    path: str,
    *,
    overrides: Overrides | None = None,
    ignore: Sequence[str] = (),
    operator: Operator = MPI_OPERATOR,
    claims: Collection[str] = (),
) -> Manifest:
    """Read and check a manifest.

    Args:
        path: the file, or ``-`` for standard input.
        overrides: values from the command line, applied before the rules are checked.
        ignore: what to leave out: names of fields (``nvidia.com/gpu``), wherever they stand, or
            shell patterns of their paths (``*.Worker.*.volumes[1]``).
        operator: whose rules hold.
        claims: names of the PersistentVolumeClaims that have a directory.

    Raises:
        ManifestError: with every problem that was found.
    """
    document = read_document(path)
    _check_kind(document)
    check = partial(_check, document, overrides or Overrides(), operator, claims)
    checked = check(lambda location: matches(location, ignore))
    if checked.job is None or checked.faults:
        faults = sorted(checked.faults, key=lambda fault: fault.problem.line)
        problems = [fault.problem for fault in faults]
        raise ManifestError(path, problems, remedy=_how_to_ignore(document, checked, check))
    ignored = tuple(format_field(location) for location in checked.ignored)
    return Manifest(path, checked.job, ignored)


@dataclass(frozen=True, slots=True)
class _Fault:
    """A problem, and where it is.

    Attributes:
        location: in the document.
        problem: what is said of it.
        refused: whether the manifest is right, and only not obeyed here.
    """

    location: Location
    problem: Problem
    refused: bool


@dataclass(frozen=True, slots=True)
class _Checked:
    """What a document is once some fields are left out.

    Attributes:
        job: what it says, or None if fields are wrong.
        faults: all that is wrong with it.
        ignored: the fields that were left out.
    """

    job: MPIJob | None
    faults: tuple[_Fault, ...]
    ignored: tuple[Location, ...]


def _check(
    document: Document,
    overrides: Overrides,
    operator: Operator,
    claims: Collection[str],
    drop: Callable[[Location], bool],
) -> _Checked:
    """Check a document without the fields that are to be dropped.

    If fields are refused and nothing else is wrong, the rest is held against the rules all the
    same: the user learns of everything at once.
    """
    pruned = prune(document.data, drop)
    ignored = tuple(pruned.ignored)
    job, details = _parse(pruned.data)
    faults = _faults(document, [(pruned.original(it["loc"]), it) for it in details])
    if faults and all(fault.refused for fault in faults):
        refused = {fault.location for fault in faults}
        pruned = prune(document.data, lambda at: at in refused or drop(at))
        job, _ = _parse(pruned.data)
    if job is None:
        return _Checked(None, tuple(faults), ignored)
    job = _with_overrides(job, overrides)
    for one in findings(job, operator=operator, claims=claims):
        at = pruned.original(one.location)
        if not any(fault.location[: len(at)] == at for fault in faults):
            problem = Problem(document.line_of(at), one.found, one.wanted, format_field(at))
            faults.append(_Fault(at, problem, one.refused))
    return _Checked(job, tuple(faults), ignored)


def _how_to_ignore(
    document: Document, checked: _Checked, check: Callable[[Callable[[Location], bool]], _Checked]
) -> str:
    """Return the options that leave out every refused field, and what is of no use without it.

    A volume without its source is none, and a mount without its volume: what would be wrong next
    is left out as well.
    """
    known = {fault.location for fault in checked.faults}
    if not any(fault.refused for fault in checked.faults):
        return ""
    left_out = {*checked.ignored, *(it.location for it in checked.faults if it.refused)}
    for _ in range(_MOST_ROUNDS):
        faults = check(left_out.__contains__).faults
        more = {at for it in faults if it.location not in known for at in _to_leave_out(it)}
        if more <= left_out:
            break
        left_out |= more
    words = (("--ignore", pattern) for pattern in patterns_for(document.data, left_out))
    return f"to run without what is refused, add {shlex.join(chain.from_iterable(words))}"


def _to_leave_out(fault: _Fault) -> Iterator[Location]:
    """Yield the field that is refused, or the volume or mount that is now incomplete."""
    if fault.refused:
        yield fault.location
        return
    for name in ("volumes", "volumeMounts"):
        if name in fault.location:
            yield fault.location[: fault.location.index(name) + 2]


def _check_kind(document: Document) -> None:
    """Stop early, with one problem instead of dozens, at what is no MPIJob at all."""
    data, path = document.data, document.path
    if not isinstance(data, Mapping):
        raise ManifestError(path, [Problem(1, _shown(data), "a map of fields: an MPIJob")])
    wanted = {"apiVersion": "kubeflow.org/v2beta1", "kind": "MPIJob"}
    problems = [
        Problem(document.line_of((key,)), _shown(data.get(key)), value, key)
        for key, value in wanted.items()
        if data.get(key) != value
    ]
    if problems:
        raise ManifestError(path, problems)


def _parse(data: Value) -> tuple[MPIJob | None, list[ErrorDetails]]:
    """Return the job, or else what is wrong with its fields."""
    try:
        return MPIJob.model_validate(_without_nulls(data)), []
    except ValidationError as error:
        # A list counts as too short when its items are wrong: those say it better.
        return None, [it for it in error.errors() if it["type"] != "too_short" or not it["input"]]


def _faults(document: Document, details: Sequence[tuple[Location, ErrorDetails]]) -> list[_Fault]:
    """Return what is wrong with fields; what is missing beside a refused one is no news."""
    refused = {at for at, it in details if it["type"] == "extra_forbidden" and _is_refused(at)}
    around = {at[:-1] for at in refused}
    return [
        _Fault(at, _problem(document, it, at), refused=at in refused)
        for at, it in details
        if it["type"] != "missing" or at[:-1] not in around
    ]


def _is_refused(location: Location) -> bool:
    return location[-1] in _model_at(MPIJob, location[:-1]).refused


def _problem(document: Document, detail: ErrorDetails, location: Location) -> Problem:
    """Turn pydantic's report of one field into ours."""
    line, where = document.line_of(location), format_field(location)
    if detail["type"] == "extra_forbidden":
        return Problem(line, repr(location[-1]), _about_unknown(location), where)
    if detail["type"] == "missing":
        return Problem(line, "nothing", "a value", where)
    wanted = _WANTED.get(detail["type"]) or _without_preamble(detail["msg"])
    if detail["type"] == "string_type" and isinstance(detail["input"], bool | int | float):
        wanted += f' (put it in quotes: "{_yaml_text(detail["input"])}")'
    return Problem(line, _shown(detail["input"]), wanted, where)


def _without_preamble(message: str) -> str:
    """Cut ``Input should be`` from pydantic's message: ours has ``wanted`` there."""
    return re.sub(r"^\w+ should (be )?", "", message)


def _about_unknown(location: Location) -> str:
    """Say why a field is not taken: refused with its reason, or no such field."""
    name = str(location[-1])
    model = _model_at(MPIJob, location[:-1])
    if reason := model.refused.get(name):
        return f"no such field: {reason}"
    known = [info.alias or key for key, info in model.model_fields.items()]
    if close := get_close_matches(name, [*known, *model.refused], n=1):
        return f"a known field; did you mean {close[0]}?"
    return f"one of {', '.join(sorted(known))}"


def _model_at(model: type[Strict], location: Location) -> type[Strict]:
    """Follow a location through the models' annotations."""
    for part in location:
        for name, info in model.model_fields.items():
            if isinstance(part, str) and part == (info.alias or name):
                model = next(_models_in(info.annotation), model)
    return model


def _models_in(annotation: object) -> Iterator[type[Strict]]:
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _without_nulls(value: Value) -> Value:
    """Drop null fields: to the API server null is the same as not set."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _with_overrides(job: MPIJob, overrides: Overrides) -> MPIJob:
    roles = job.spec.mpi_replica_specs
    launcher, worker = roles.launcher, roles.worker
    if overrides.image is not None:
        launcher = _with_image(launcher, overrides.image)
        worker = _with_image(worker, overrides.image) if worker else None
    if overrides.workers is not None and worker is not None:
        worker = _copy(worker, replicas=overrides.workers)
    metadata = job.metadata
    if overrides.namespace is not None:
        metadata = _copy(metadata, namespace=overrides.namespace)
    spec = _copy(job.spec, mpi_replica_specs=_copy(roles, launcher=launcher, worker=worker))
    return _copy(job, metadata=metadata, spec=spec)


def _with_image(replica: ReplicaSpec, image: str) -> ReplicaSpec:
    pod = replica.template.spec
    containers = (_copy(pod.containers[0], image=image), *pod.containers[1:])
    template = _copy(replica.template, spec=_copy(pod, containers=containers))
    return _copy(replica, template=template)


def _copy(model: _Model, **changes: object) -> _Model:
    return model.model_copy(update=changes)


def _shown(value: Value) -> str:
    """Shorten a value for a message."""
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return "a map" if isinstance(value, dict) else "a list"
    text = repr(value) if isinstance(value, str) else _yaml_text(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


def _yaml_text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
