"""How far the hosts' clocks are from each other, from one question and answer with each.

Layer: pure; imports hosts, lists.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mpijob_runtime.hosts import short_name
from mpijob_runtime.lists import format_list

_NOTABLE_SECONDS = 1.0
"""Clocks that NTP or chrony keeps differ by milliseconds; what differs by less harms nobody."""

_LATEST_SECONDS = 1e12
_SHOWN_HOSTS = 4
_ANSWER_TIMES = 2


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """What a host's clock shows less ours: for certain between two bounds.

    Attributes:
        least_seconds: the lower bound.
        most_seconds: the upper bound.
    """

    least_seconds: float
    most_seconds: float

    @property
    def middle_seconds(self) -> float:
        """The likeliest value, as far as one question can tell."""
        return (self.least_seconds + self.most_seconds) / 2

    def less(self, other: "ClockOffset") -> "ClockOffset":
        """Return how far a clock is from another one."""
        return ClockOffset(
            self.least_seconds - other.most_seconds, self.most_seconds - other.least_seconds
        )


def measure_offset(said: object, asked_at: float, answered_at: float) -> ClockOffset | None:
    """Return a clock's offset from a question and its answer, or None if the answer is none.

    The question was heard after it was asked and answered before the answer came, so each way
    gives one bound, however long the host took in between.

    Args:
        said: when the host heard the question and when it answered, by its clock.
        asked_at: when it was asked, by ours.
        answered_at: when the answer came, by ours.
    """
    if not isinstance(said, list) or len(said) != _ANSWER_TIMES or not all(map(_is_time, said)):
        return None
    heard, answered = said
    least, most = answered - answered_at, heard - asked_at
    return ClockOffset(least, most) if least <= most else None  # else a clock was set meanwhile


def describe_clocks(offsets: Mapping[str, ClockOffset]) -> str:
    """Return a sentence if clocks differ by more than a second for certain, else nothing.

    Args:
        offsets: host -> its clock's offset from ours.
    """
    if not offsets:
        return ""
    in_order = sorted(offsets, key=lambda host: offsets[host].middle_seconds)
    reference = in_order[(len(in_order) - 1) // 2]
    words = []
    for host, offset in offsets.items():
        gap = offset.less(offsets[reference])
        if gap.least_seconds > _NOTABLE_SECONDS or gap.most_seconds < -_NOTABLE_SECONDS:
            words.append(f"{short_name(host)} by {_format_gap(gap)}")
    if not words:
        return ""
    return (
        f"clocks differ from {short_name(reference)}'s: {format_list(words, most=_SHOWN_HOSTS)}\n"
        "  next: have the nodes' clocks kept by NTP or chrony; times in logs and of files, and"
        " which rank failed first, are told by them"
    )


def _format_gap(gap: ClockOffset) -> str:
    half = (gap.most_seconds - gap.least_seconds) / 2
    return f"{gap.middle_seconds:+.1f} s (± {half:.1f} s)"


def _is_time(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 <= value < _LATEST_SECONDS  # type: ignore[operator]
