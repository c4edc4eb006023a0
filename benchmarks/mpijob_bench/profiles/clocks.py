"""Marks in time on the device that computes: CUDA events on a GPU, the process's clock on a CPU."""

import time
from typing import Any, Protocol

import torch


class Clock(Protocol):
    """Takes marks without making the device wait; they are read when it has settled."""

    def mark(self) -> Any:  # noqa: ANN401 - a float or a CUDA event
        """Return a mark of what the device has been told to do up to now."""

    def settle(self) -> None:
        """Wait until the device has done all of it."""

    def seconds_between(self, start: Any, end: Any) -> float:  # noqa: ANN401
        """Return the seconds between two marks of a device that has settled."""


class ProcessClock:
    """The clock of a CPU, which has done its work when the call returns."""

    def mark(self) -> float:
        """Return the time."""
        return time.perf_counter()

    def settle(self) -> None:
        """Return at once."""

    def seconds_between(self, start: float, end: float) -> float:
        """Return the difference."""
        return end - start


class CudaClock:
    """Events in the current stream."""

    def mark(self) -> torch.cuda.Event:
        """Return an event that is recorded behind all work so far."""
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def settle(self) -> None:
        """Wait for the device."""
        torch.cuda.synchronize()

    def seconds_between(self, start: torch.cuda.Event, end: torch.cuda.Event) -> float:
        """Return the difference; torch gives milliseconds."""
        return float(start.elapsed_time(end)) / 1e3
