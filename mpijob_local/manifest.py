"""Load an MPIJob manifest: everything that is wrong with it at once, each with its line.

Layer: reads one file through ``yamlfile``; the rest is pure.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mpijob_local.models import MPIJob, ReplicaSpec, Strict
from mpijob_local.operators import MPI_OPERATOR, Operator
from mpijob_local.validation import findings
from mpijob_local.yamlfile import Document, Location, Value, read_document
from mpijob_runtime.errors import ManifestError, Problem

_SHOWN_CHARACTERS = 60
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
        ignore: shell patterns of field paths to leave out (``*.nodeSelector``); a pattern
            without a dot matches a field's own name wherever it stands.
        operator: whose rules hold.
        claims: names of the PersistentVolumeClaims that have a directory.

    Raises:
        ManifestError: with every problem that was found.
    """
    document = read_document(path)
    _check_kind(document)
    ignored: list[str] = []
    data = _without(document.data, ignore, (), ignored)
    document = replace(document, data=_without_nulls(data))
    job = _with_overrides(_parse(document), overrides or Overrides())
    if found := findings(job, operator=operator, claims=claims):
        raise ManifestError(
            path,
            [
                Problem(document.line_of(one.location), one.found, one.wanted, field(one.location))
                for one in found
            ],
        )
    return Manifest(path, job, tuple(ignored))


def field(location: Location) -> str:
    """Format a location as Kubernetes does: ``spec.containers[0].name``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")


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


def _parse(document: Document) -> MPIJob:
    try:
        return MPIJob.model_validate(document.data)
    except ValidationError as error:
        # A list counts as too short when its items are wrong: those say it better.
        details = [it for it in error.errors() if it["type"] != "too_short" or not it["input"]]
        problems = [_problem(document, detail) for detail in details]
        raise ManifestError(document.path, sorted(problems, key=lambda it: it.line)) from None


def _problem(document: Document, detail: ErrorDetails) -> Problem:
    """Turn pydantic's report of one field into ours."""
    location = detail["loc"]
    line, where = document.line_of(location), field(location)
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
        return f"no such field: {reason} (--ignore {name} runs the job without it)"
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


def _without(value: Value, patterns: Sequence[str], at: Location, ignored: list[str]) -> Value:
    """Return the value without the fields that match a pattern; note what went."""
    if isinstance(value, dict):
        kept = {}
        for key, item in value.items():
            if _matches((*at, key), patterns):
                ignored.append(field((*at, key)))
            else:
                kept[key] = _without(item, patterns, (*at, key), ignored)
        return kept
    if isinstance(value, list):
        return [_without(item, patterns, (*at, i), ignored) for i, item in enumerate(value)]
    return value


def _matches(location: Location, patterns: Sequence[str]) -> bool:
    path = field(location)
    # Brackets are indexes in a field path, not sets of characters.
    escaped = [pattern.replace("[", "[[]") for pattern in patterns]
    return any(
        fnmatchcase(path, pattern)
        or ("." not in pattern and fnmatchcase(str(location[-1]), pattern))
        for pattern in escaped
    )


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
