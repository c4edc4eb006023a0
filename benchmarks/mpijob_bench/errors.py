"""What can go wrong in a benchmark. Exit codes are those of mpijob_runtime.errors."""

from mpijob_runtime.errors import ConfigurationError, InputError, MpiJobError


class ResultError(InputError):
    """A result, plan or steps file is missing, cut off or wrong."""

    kind = "result"


class LaunchError(ConfigurationError):
    """Launches cannot be done here at all."""


class TerminatedError(MpiJobError):
    """SIGTERM, as a launcher pod gets it when it is preempted; what was under way is ended."""

    exit_code = 75
