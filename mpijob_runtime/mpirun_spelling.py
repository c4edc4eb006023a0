"""The two generations' spellings of mpirun's options: the right one for the wrong.

Layer: pure; imports mpirun_line.
"""

from collections.abc import Sequence

from mpijob_runtime.mpirun_line import MpirunOption, read_options

NAMES = {4: "4.1", 5: "5.0"}
OTHER = {4: 5, 5: 4}
"""Generations, their names, and which one's manuals a line may have been written by."""

_LEFT_OUT = ""
"""There is no such option: the right spelling is none."""


def respell(arguments: Sequence[str], *, major: int) -> list[tuple[str, str]]:
    """Return each option of a line that only the other generation takes, and its right spelling.

    Args:
        arguments: a user's own line.
        major: the generation that is here.
    """
    respelled = {4: _for_4, 5: _for_5}[major]
    options = read_options(arguments, major=OTHER[major])
    found = ((option, respelled(option)) for option in options)
    return [(str(option), right) for option, right in found if right is not None]


_DOUBLE_ONLY = frozenset({"bind-to", "map-by", "rank-by"})
"""What 5.0 takes with two dashes only; all others it takes with one as well (5.0.11, measured)."""

_OF_5 = {
    "rf": "--rankfile {}",
    "bind-to-socket": "--bind-to package",
    "xml-file": "--output xml,file={}",
}
_NOT_IN_5 = frozenset(
    {"quiet", "q", "d", "debug-devel", "tv", "novm", "use-regexp", "do-not-resolve"}
)


def _for_5(option: MpirunOption) -> str | None:
    value = " ".join(option.values)
    if option.name in _DOUBLE_ONLY:
        return None if option.word.startswith("--") else f"--{option.name} {value}"
    if option.name in _OF_5:
        return _OF_5[option.name].format(value)
    return _LEFT_OUT if option.name in _NOT_IN_5 else None


_OF_4 = {
    "output": {
        "tag": "--tag-output",
        "timestamp": "--timestamp-output",
        "merge-stderr-to-stdout": "--merge-stderr-to-stdout",
        "xml": "--xml",
        "file": "--output-filename {}",
        "dir": "--output-filename {}",
    },
    "display": {
        "map": "--display-map",
        "allocation": "--display-allocation",
        "bind": "--report-bindings",
        "topo": "--display-topo",
    },
    "runtime-options": {"donotlaunch": "--do-not-launch", "show-progress": "--show-progress"},
}
_POLICIES = {"package": "socket"}
_NOT_IN_4 = frozenset(
    {
        "pmixmca",
        "stream-buffering",
        "forward-signals",
        "with-ft",
        "pset",
        "display-comm",
        "parsable",
    }
)


def _for_4(option: MpirunOption) -> str | None:
    if option.name in _OF_4:
        directives = [word.partition("=") for word in ",".join(option.values).split(",")]
        known = _OF_4[option.name]
        right = (known.get(name, _LEFT_OUT).format(value) for name, _, value in directives)
        return " ".join(filter(None, right))
    if option.name in ("prtemca", "omca", "gomca"):
        return " ".join(("--mca", *option.values))
    if option.name in _NOT_IN_4:
        return _LEFT_OUT
    value = " ".join(option.values)
    for policy, other in _POLICIES.items():
        if option.name in _DOUBLE_ONLY and policy in value:
            return f"--{option.name} {value.replace(policy, other)}"
    return f"--{option.name} {value}" if option.joined else None
