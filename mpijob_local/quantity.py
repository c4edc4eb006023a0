"""Kubernetes quantities such as ``512Mi``, ``1.5`` or ``250m``.

Layer: pure; imports nothing of ours.
"""

import re
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal, InvalidOperation

_PATTERN = re.compile(
    r"(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+))(?P<suffix>[numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?"
)

# apimachinery pkg/api/resource/suffix.go
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


@dataclass(frozen=True, slots=True, order=True)
class Quantity:
    """An amount of a resource; compares by value, remembers how it was written."""

    value: Decimal
    text: str = field(compare=False)

    @property
    def whole(self) -> int:
        """The value rounded up to a whole number, as Kubernetes rounds bytes."""
        return int(self.value.to_integral_value(rounding=ROUND_CEILING))


def parse_quantity(text: str) -> Quantity:
    """Parse the text of a quantity.

    Raises:
        ValueError: the text is not a quantity; the message says what one looks like.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        message = f"{text!r} is not a quantity such as 2, 250m or 512Mi"
        raise ValueError(message)
    try:
        return Quantity(_scaled(match["number"], match["suffix"] or ""), text)
    except (InvalidOperation, OverflowError):
        message = f"{text!r} is too large for a quantity"
        raise ValueError(message) from None


def _scaled(number: str, suffix: str) -> Decimal:
    if suffix in _BINARY:
        return Decimal(number) * (1 << _BINARY[suffix])
    if suffix in _DECIMAL:
        return Decimal(number).scaleb(_DECIMAL[suffix])
    value = Decimal(number + suffix)
    return value.quantize(Decimal(1)) if value == value.to_integral_value() else value
