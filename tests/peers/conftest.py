"""Test suites of others, run plain and by a launch."""

from engines import open_mpi, podman

__all__ = ["open_mpi", "podman"]
