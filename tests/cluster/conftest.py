"""Whole images and jobs."""

from engines import image, open_mpi, podman

__all__ = ["image", "open_mpi", "podman"]
