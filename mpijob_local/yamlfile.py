"""Read a YAML file into plain data that remembers the line of every field.

The only module that uses ruamel.yaml.

Layer: reads one file; knows nothing of MPIJobs.
"""

import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from mpijob_runtime.errors import ManifestError, Problem

Value = Any
"""Whatever a YAML document can hold."""

Location = tuple[str | int, ...]
"""The way to a field: keys and list indexes from the top of the document."""

# Far above any real manifest; etcd refuses objects beyond 1.5 MiB.
_LARGEST_FILE_BYTES = 1 << 20
# Anchors that refer to anchors can blow a small file up without bound.
_MOST_VALUES = 100_000
# What ruamel itself runs into with keys that cannot be one in Python, or odd values behind a tag.
_ODD_ERRORS = (AttributeError, IndexError, KeyError, TypeError)


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document as plain dicts and lists.

    Attributes:
        path: where it came from, for messages.
        data: the content.
        lines: line number, from 1, of each location.
    """

    path: str
    data: Value
    lines: dict[Location, int]

    def line_of(self, location: Location) -> int:
        """Return the line of the location, or of the nearest field around it."""
        for end in range(len(location), -1, -1):
            if (line := self.lines.get(location[:end])) is not None:
                return line
        return 1


def read_document(path: str) -> Document:
    """Read a file (``-`` is standard input) that holds exactly one YAML document.

    Raises:
        ManifestError: the file cannot be read, is no YAML, or is not one document.
    """
    text = _decode(path, _read(path))
    try:
        documents = [found for found in _reader().load_all(text) if found is not None]
    except MarkedYAMLError as error:
        raise _invalid(path, _yaml_problem(error)) from None
    except YAMLError as error:
        line = text.count("\n", 0, getattr(error, "position", 0)) + 1
        raise _invalid(path, Problem(line, "a character that YAML forbids", "text")) from None
    except RecursionError:
        raise _invalid(path, Problem(0, "lists or maps nested too deeply", "an MPIJob")) from None
    except ValueError as error:
        raise _invalid(path, Problem(0, str(error).splitlines()[0], "valid YAML")) from None
    except _ODD_ERRORS as error:
        raise _odd(path, error) from None
    return _single(path, documents)


def _reader() -> YAML:
    yaml = YAML(typ="rt")
    # As Kubernetes reads YAML: 0600 is octal, yes and on are booleans.
    yaml.version = (1, 1)
    return yaml


def _read(path: str) -> bytes:
    try:
        if path == "-":
            return sys.stdin.buffer.read(_LARGEST_FILE_BYTES + 1)
        with Path(path).open("rb") as file:
            return file.read(_LARGEST_FILE_BYTES + 1)
    except OSError as error:
        found = (error.strerror or str(error)).lower()
        raise _invalid(path, Problem(0, found, "a readable file")) from None


def _decode(path: str, content: bytes) -> str:
    if len(content) > _LARGEST_FILE_BYTES:
        wanted = f"an MPIJob of at most {_LARGEST_FILE_BYTES >> 20} MiB"
        raise _invalid(path, Problem(0, "a larger file", wanted))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _invalid(path, Problem(line, "bytes that are not UTF-8", "text")) from None
    if not text.strip():
        raise _invalid(path, Problem(0, "an empty file", "an MPIJob"))
    return text


def _single(path: str, documents: list[Value]) -> Document:
    if not documents:
        raise _invalid(path, Problem(0, "only comments", "an MPIJob"))
    if len(documents) > 1:
        line = documents[1].lc.line + 1 if hasattr(documents[1], "lc") else 0
        found = f"{len(documents)} YAML documents"
        raise _invalid(path, Problem(line, found, "one, the MPIJob"))
    copier = _Copier()
    try:
        return Document(path, copier.copy(documents[0], ()), copier.lines)
    except (RecursionError, _TooManyValuesError):
        found = "anchors that expand without bound"
        raise _invalid(path, Problem(0, found, "an MPIJob")) from None
    except _ODD_ERRORS as error:
        raise _odd(path, error) from None


def _odd(path: str, error: Exception) -> ManifestError:
    """Return what to say of an error that ruamel never meant anybody to see."""
    found = f"a key or a tagged value that the YAML parser cannot take ({type(error).__name__})"
    return _invalid(path, Problem(0, found, "names as keys, plain values"))


class _TooManyValuesError(Exception):
    """A document expands to more values than any manifest has."""


class _Copier:
    """Copies a parsed document into plain types and notes the line of each field."""

    def __init__(self) -> None:
        self.lines: dict[Location, int] = {}
        self._left = _MOST_VALUES

    def copy(self, value: Value, location: Location) -> Value:
        """Copy one value and all below it."""
        self._left -= 1
        if self._left < 0:
            raise _TooManyValuesError
        if isinstance(value, CommentedMap):
            return {str(key): self._item(value, key, location) for key in value}
        if isinstance(value, CommentedSeq):
            return [self._item(value, index, location) for index in range(len(value))]
        return _plain_scalar(value)

    def _item(self, around: CommentedMap | CommentedSeq, key: Value, at: Location) -> Value:
        """Copy one item of a map or list and note its line."""
        self.lines.setdefault(at, around.lc.line + 1)
        below = (*at, key if isinstance(around, CommentedSeq) else str(key))
        # A key that came in by a merge (<<) has no position of its own.
        position = (around.lc.data or {}).get(key)
        self.lines[below] = (position[0] if position else around.lc.line) + 1
        return self.copy(around[key], below)


def _plain_scalar(value: Value) -> Value:
    """Undo ruamel's scalar classes; Kubernetes has no dates, so they are text again."""
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return str(value)


def _yaml_problem(error: MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    found = " ".join((error.problem or error.context or "a mistake").split())
    return Problem(mark.line + 1 if mark else 0, found.removeprefix("found "), "valid YAML")


def _invalid(path: str, problem: Problem) -> ManifestError:
    return ManifestError(path, [problem])
