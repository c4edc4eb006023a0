"""What of a plan and its surroundings may be shown.

Layer: pure; imports mpijob_runtime.masking.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mpijob_runtime.masking import MASK, is_secret, masked_text, shown_value


def masked_environ(environ: Mapping[str, str | None]) -> dict[str, str]:
    """Return variables with secrets masked, by name."""
    return {name: shown_value(name, value) or "" for name, value in sorted(environ.items())}


def masked_argv(argv: Sequence[str]) -> list[str]:
    """Return argv with values of options masked whose names say that they are secret."""
    return list(_masked_words(argv))


def _masked_words(argv: Sequence[str]) -> Iterator[str]:
    secret = False
    for word in argv:
        name, equals, value = word.partition("=")
        named = is_secret(name.lstrip("-").replace("-", "_"))
        if secret and not word.startswith("-"):
            yield MASK
        elif named and equals and value:
            yield f"{name}={MASK}"
        else:
            yield masked_text(word)
        secret = named and not equals and word.startswith("-")


def masked(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return JSON with values masked whose keys say that they are secret, and argv likewise."""
    match value:
        case Mapping():
            return {key: _masked_item(str(key), item) for key, item in value.items()}
        case list():
            return [masked(item) for item in value]
        case str():
            return masked_text(value)
        case _:
            return value


def _masked_item(key: str, item: Any) -> Any:  # noqa: ANN401 - any JSON
    if key == "argv" and isinstance(item, list):
        return masked_argv([str(word) for word in item])
    if isinstance(item, str):
        return MASK if item and is_secret(key) else masked_text(item)
    return masked(item)
