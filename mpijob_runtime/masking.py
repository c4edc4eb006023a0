"""Which variables are secrets, and how they are shown.

Layer: bottom, pure; imports nothing of ours.
"""

import re

MASK = "********"

_SECRET = re.compile(
    r"TOKEN(?!IZ|S_PER)|SECRET|PASS(W|PHRASE|_|$)|PWD$|CREDENTIAL|AUTH(?!OR(?!IZ))|(API|ACCESS|PRIVATE)_?KEY"
    r"|_KEY$|_PAT$",
    re.IGNORECASE,
)
_SECRET_IN_URL = re.compile(r"://([^/@\s]*:[^/@\s]*|[^/@\s:]{16,})@")  # a long user is a token
_SECRET_IN_HEADER = re.compile(r"(authorization\s*:\s*\w+\s+)\S+", re.IGNORECASE)
_ASSIGNMENT = re.compile(
    r"(?P<name>\b[A-Za-z_][\w-]*|(?<!\w)--?[A-Za-z_][\w-]*)(?P<sign>=)(?P<value>[^\s=]\S*)"
)
_OPTION = re.compile(r"(?<!\S)(?P<name>--?[A-Za-z_][\w-]*)(?P<sign> +)(?P<value>[^\s-]\S*)")


def is_secret(name: str) -> bool:
    """Tell whether a variable's name says that its value must not be shown."""
    return _SECRET.search(name) is not None


def shown_value(name: str, value: str | None) -> str | None:
    """Return a value as it may be printed."""
    return MASK if value and (is_secret(name) or masked_text(value) != value) else value


def masked_text(text: str) -> str:
    """Return a text without the secrets in it that can be told.

    Passwords in URLs, the words of an Authorization header, and values of what is named
    like a secret: ``--token=x``, ``--token x``, ``HF_TOKEN=x``.
    """
    text = _SECRET_IN_URL.sub(f"://{MASK}@", text)
    text = _SECRET_IN_HEADER.sub(rf"\g<1>{MASK}", text)
    return _OPTION.sub(_masked_assignment, _ASSIGNMENT.sub(_masked_assignment, text))


def _masked_assignment(found: re.Match[str]) -> str:
    secret = is_secret(found["name"].lstrip("-").replace("-", "_"))
    return f"{found['name']}{found['sign']}{MASK}" if secret else found[0]
