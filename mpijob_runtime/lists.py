"""Long lists in messages: the first items, and how many more there are.

Layer: bottom, pure; imports nothing of ours.
"""

from collections.abc import Sequence

SHOWN_ITEMS = 8
"""What reads as a list in one line; a job may have a thousand hosts."""


def format_list(items: Sequence[str], *, most: int = SHOWN_ITEMS, between: str = ", ") -> str:
    """Return ``a, b`` or, of more than ``most`` items, ``a, b … and 56 more``."""
    shown = between.join(items[:most])
    return f"{shown}{format_rest(len(items), most)}"


def format_rest(number: int, most: int) -> str:
    """Return `` … and 56 more``, or nothing if no more than ``most`` of ``number`` are shown."""
    return f" … and {number - most} more" if number > most else ""
