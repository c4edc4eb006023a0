"""Which variables are secrets, and how they are shown.

Layer: bottom, pure; imports nothing of ours.
"""

import re
from collections.abc import Iterator

MASK = "********"

_SECRET = re.compile(
    r"TOKEN(?!IZ|S|_IDS?$)|(API|ACCESS)_?TOKENS|SECRET|PASS(W|PHRASE|_|$)|PWD$|CREDENTIAL"
    r"|AUTH(?!OR(?!IZ))|(API|ACCESS|PRIVATE)_?KEY|_KEY$|_PAT$",
    re.IGNORECASE,
)
_IN_URL = re.compile(r"://([^/@\s:]*:[^/@\s]*|[^/@\s:]{16,})@")  # a long user is a token
_IN_HEADER = re.compile(r"(authorization[\"']?\s*:\s*[\"']?)(?:\w+ +)?\S+", re.IGNORECASE)
_NAMED = re.compile(
    r"(?<![\w-])(?P<dashes>-{0,2})(?P<name>[A-Za-z_][\w-]*)(?P<sign>=|[\"']\s*:\s*|[ ]+(?!-))"
)
"""``NAME=``, ``--name=``, ``--name `` and ``"name": ``, up to the value."""

_VALUE = re.compile(r"\"[^\"]*\"?|'[^']*'?|\S+")


def is_secret(name: str) -> bool:
    """Tell whether a variable's name says that its value must not be shown."""
    return _SECRET.search(name) is not None


def shown_value(name: str, value: str | None) -> str | None:
    """Return a value as it may be printed."""
    return MASK if value and (is_secret(name) or masked_text(value) != value) else value


def masked_text(text: str) -> str:
    """Return a text without the secrets in it that can be told.

    Passwords in URLs, what an Authorization header says, and values of what is named like a
    secret: ``--token=x``, ``--token x``, ``HF_TOKEN=x``, ``"token": "x"``.
    """
    text = _IN_URL.sub(f"://{MASK}@", text)
    text = _IN_HEADER.sub(rf"\g<1>{MASK}", text)
    return "".join(_masked_values(text))


def _masked_values(text: str) -> Iterator[str]:
    place = 0
    for found in _NAMED.finditer(text):
        prose = found["sign"].isspace() and not found["dashes"]
        if found.start() < place or prose or not is_secret(found["name"].replace("-", "_")):
            continue
        if value := _VALUE.match(text, found.end()):
            yield text[place : found.end()] + MASK
            place = value.end()
    yield text[place:]
