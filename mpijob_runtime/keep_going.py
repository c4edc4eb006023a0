"""Whether a user has asked mpirun to let a job go on after a rank has failed.

Then it is no wonder that mpirun does not end. Measured with 4.1.4 and 5.0.11; of 5.0's words only
``error-nonzero-status`` helps a program without MPI, but all of them ask for it.

Layer: pure; imports nothing of ours.
"""

from collections.abc import Iterator, Mapping, Sequence

_ASK = frozenset({"enable-recovery", "continuous", "max-restarts", "with-ft"})
_WHEN_ON = (
    "orte_enable_recovery",
    "orte_max_restarts",
    "state_base_recoverable",
    "state_base_continuous",
    "state_base_autorestart",
)
_WHEN_OFF = ("orte_abort_on_non_zero_status", "state_base_error_non_zero_exit")
_MCA_OPTIONS = frozenset({"mca", "gmca", "prtemca"})
_MCA_VARIABLES = ("OMPI_MCA_", "PRTE_MCA_")
_RUNTIME_OPTIONS = frozenset({"runtime-options", "rtos"})
_DIRECTIVES = ("recoverable", "continuous", "autorestart")
_ERROR_DIRECTIVE = "error-nonzero-status"
_OFF = ("0", "f", "n", "off", "disabled")

_FLAGS = frozenset(
    {
        *("allow-run-as-root", "bind-to-core", "bind-to-socket", "bycore", "bynode", "byslot"),
        *("continuous", "d", "debug", "debug-daemons", "debug-daemons-file", "debug-devel"),
        *("disable-recovery", "display-allocation", "display-devel-allocation"),
        *("display-devel-map", "display-diffable-map", "display-map", "display-topo"),
        *("do-not-launch", "do-not-resolve", "dvm", "enable-instant-on-support"),
        *("enable-recovery", "fwd-mpirun-port", "get-stack-traces", "index-argv-by-rank"),
        *("leave-session-attached", "merge-stderr-to-stdout", "nolocal", "nooversubscribe"),
        *("noprefix", "novm", "output-proctable", "oversubscribe", "pernode", "preload-binary"),
        *("q", "quiet", "report-bindings", "report-child-jobs-separately"),
        *("report-state-on-timeout", "s", "set-cwd-to-session-dir", "show-progress"),
        *("tag-output", "timestamp-output", "tv", "use-hwthread-cpus", "use-regexp", "v"),
        *("verbose", "xml"),
    }
)
"""Options without a value, by ``mpirun --help``; any other takes the word after it."""


def keeps_going(arguments: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Return whether mpirun was asked not to end a job when one of its ranks fails.

    Args:
        arguments: of mpirun, with programs and their arguments, which are left alone.
        environ: mpirun's environment.
    """
    for variable, value in environ.items():
        for prefix in _MCA_VARIABLES:
            if variable.startswith(prefix) and _asks(variable.removeprefix(prefix), value):
                return True
    for name, values in _options(arguments):
        if name in _ASK or (name in _MCA_OPTIONS and _asks(*values)):
            return True
        if name in _RUNTIME_OPTIONS and any(map(_directs, values[0].split(","))):
            return True
    return False


def _options(arguments: Sequence[str]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield mpirun's own options and the two words that follow each, or its ``=VALUE``."""
    words, place = [*arguments, "", ""], 0
    while place < len(arguments):
        word = words[place]
        if not word.startswith("-"):  # a program; after ':' come options again
            rest = words[place : len(arguments)]
            place += rest.index(":") + 1 if ":" in rest else len(rest)
            continue
        name, equals, value = word.lstrip("-").partition("=")
        yield name, (value, "") if equals else (words[place + 1], words[place + 2])
        place += 1 if equals or name in _FLAGS else 3 if name in _MCA_OPTIONS else 2


def _asks(parameter: str, value: str) -> bool:
    """Tell whether an MCA parameter with this value lets a job go on."""
    if not value:
        return False
    return parameter in (_WHEN_OFF if _is_off(value) else _WHEN_ON)


def _directs(text: str) -> bool:
    """Tell it of one of 5.0's run-time options, which may be shortened."""
    name, equals, value = text.strip().lower().partition("=")
    if not name:
        return False
    if _ERROR_DIRECTIVE.startswith(name):
        return bool(equals) and _is_off(value)
    return any(each.startswith(name) for each in _DIRECTIVES) and not (equals and _is_off(value))


def _is_off(value: str) -> bool:
    return value.strip().lower().startswith(_OFF)
