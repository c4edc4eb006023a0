"""Whether a user has asked mpirun to let a job go on after a rank has failed.

Then it is no wonder that mpirun does not end. Measured with 4.1.4 and 5.0.11; of 5.0's words only
``error-nonzero-status`` helps a program without MPI, but all of them ask for it.

Layer: pure; imports mpirun_line.
"""

from collections.abc import Mapping, Sequence

from mpijob_runtime.mpirun_line import MpirunOption, read_options

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


def keeps_going(arguments: Sequence[str], environ: Mapping[str, str], *, major: int) -> bool:
    """Return whether mpirun was asked not to end a job when one of its ranks fails.

    Args:
        arguments: of mpirun, with programs and their arguments, which are left alone.
        environ: mpirun's environment.
        major: the generation of Open MPI.
    """
    for variable, value in environ.items():
        for prefix in _MCA_VARIABLES:
            if variable.startswith(prefix) and _asks(variable.removeprefix(prefix), value):
                return True
    return any(map(_option_asks, read_options(arguments, major=major)))


def _option_asks(option: MpirunOption) -> bool:
    """Tell whether an option of mpirun's lets a job go on."""
    if option.name in _ASK:
        return True
    if option.name in _MCA_OPTIONS:
        return _asks(*option.parameter)
    directives = option.values[0].split(",") if option.values else ()
    return option.name in _RUNTIME_OPTIONS and any(map(_directs, directives))


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
