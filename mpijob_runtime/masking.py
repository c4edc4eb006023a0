"""Which variables are secrets, and how they are shown.

Layer: bottom, pure; imports nothing of ours.
"""

import re

MASK = "********"

_SECRET = re.compile(
    r"TOKEN(?!IZ)|SECRET|PASS(W|PHRASE|_|$)|PWD$|CREDENTIAL|AUTH(?!OR)|(API|ACCESS|PRIVATE)_?KEY"
    r"|_KEY$|_PAT$",
    re.IGNORECASE,
)
_SECRET_IN_URL = re.compile(r"://[^/@\s]*:[^/@\s]*@")


def is_secret(name: str) -> bool:
    """Tell whether a variable's name says that its value must not be shown."""
    return _SECRET.search(name) is not None


def shown_value(name: str, value: str | None) -> str | None:
    """Return a value as it may be printed."""
    return MASK if value and (is_secret(name) or _SECRET_IN_URL.search(value)) else value
