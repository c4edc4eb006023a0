"""What a benchmark's files can be wrong in. Exit codes are those of mpijob_runtime.errors."""

from mpijob_runtime.errors import InputError


class ResultError(InputError):
    """A result, plan or steps file is missing, cut off or wrong."""

    kind = "result"
