"""Steps as JSON lines in a file: what a benchmark reads of a training run.

Layer: effects (files); imports errors.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from mpijob_runtime.errors import ConfigurationError


class Step(NamedTuple):
    """One optimizer step of one rank.

    Attributes:
        step: its number, as the user counts.
        time: Unix time at its end, in seconds.
        step_seconds: its duration, by a clock that is never set.
        samples: samples that this rank used in it.
        loss: the loss, NaN and infinite included; None if none was given.
    """

    step: int
    time: float
    step_seconds: float
    samples: int
    loss: float | None


def format_step(step: Step, labels: str = "") -> str:
    """Return one line of JSON, with a newline.

    Put together by hand, which takes 2 µs in place of json's 6. A loss that JSON has no number
    for is null.

    Args:
        step: what is written.
        labels: further keys, as JSON text without braces; see ``format_labels``.
    """
    rate = f"{step.samples / step.step_seconds:.6g}" if step.step_seconds > 0 else "null"
    loss = "null" if step.loss is None or not math.isfinite(step.loss) else repr(step.loss)
    return (
        f'{{"step":{step.step},"time":{step.time:.6f},"step_seconds":{step.step_seconds:.6f},'
        f'"samples":{step.samples},"samples_per_second":{rate},"loss":{loss}{labels}}}\n'
    )


def format_labels(labels: Mapping[str, str | int]) -> str:
    """Return what ``format_step`` puts at the end of each line."""
    return "".join(f",{json.dumps(name)}:{json.dumps(value)}" for name, value in labels.items())


class StepLines:
    """A file of JSON lines, to which each run of the job appends.

    Args:
        path: the file; its directory is made if it is not there.
        labels: keys and values that are the same on all lines.

    Raises:
        ConfigurationError: if nothing can be written there.
    """

    def __init__(self, path: str, labels: Mapping[str, str | int]) -> None:
        self.name = path
        self._labels = format_labels(labels)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            self._descriptor = os.open(path, flags, 0o644)
            self._append(b"\n")  # a full disk shows itself now
            os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - 1)
        except OSError as error:
            raise ConfigurationError(
                f"metrics {path}: cannot write: {error.strerror}",
                remedy="name a directory that this user can write and that has space",
            ) from error

    def take(self, steps: Sequence[Step]) -> None:
        """Append steps: all of them or, with an error, none.

        Raises:
            OSError: if they cannot be written.
        """
        self._append("".join(format_step(step, self._labels) for step in steps).encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _append(self, data: bytes) -> None:
        written = 0
        try:
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        except OSError:
            with suppress(OSError):  # the first error is the one to tell
                size = os.fstat(self._descriptor).st_size
                os.ftruncate(self._descriptor, size - written)
            raise
