"""What can go wrong in a benchmark. Exit codes are those of mpijob_runtime.errors."""

from mpijob_runtime.errors import ConfigurationError, InputError, MpiJobError


class ResultError(InputError):
    """A result, plan or steps file is missing, cut off or wrong."""

    kind = "result"


class LaunchError(ConfigurationError):
    """Launches cannot be done here at all."""


class NotLaunchedError(MpiJobError):
    """A launch did not come about; ends with an exit code that is no verdict.

    Args:
        exit_code: one of ``mpijob-runtime launch``'s own.
        message: what it said.
    """

    def __init__(self, exit_code: int, message: str) -> None:
        remedy = "mend that; the same command goes on with what is left to do"
        super().__init__(message, remedy=remedy)
        self.exit_code = exit_code


class TerminatedError(MpiJobError):
    """SIGTERM, as a launcher pod gets it when it is preempted; what was under way is ended."""

    exit_code = 75
