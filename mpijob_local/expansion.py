"""``$(VAR)`` references in commands, arguments and variables, as the kubelet expands them.

Layer: pure; imports nothing of ours.
"""

import re
from collections.abc import Iterable, Mapping

# $$ is an escaped dollar; $(NAME) a reference (kubernetes third_party/forked/golang/expansion).
_REFERENCE = re.compile(r"\$(?:(?P<escaped>\$)|\((?P<name>[^()]*)\))")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace references to known variables; unknown ones stay as they are."""

    def replacement(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        return variables.get(match["name"], match[0])

    return _REFERENCE.sub(replacement, text)


def expand_environ(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Expand a container's variables in order: each sees those before it.

    Of two with one name the later wins, as when the operator appends its own.
    """
    environ: dict[str, str] = {}
    for name, value in pairs:
        expanded = expand(value, environ)
        environ.pop(name, None)
        environ[name] = expanded
    return environ
