"""Collectives on float arrays by torch's Gloo and NCCL and by MPI, called in one way."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
import torch.distributed as dist

from mpijob_runtime.training import init_process_group, world

Call = Callable[[torch.Tensor, torch.Tensor], object]
"""Takes what is sent and what is received; the same array where a collective works in place."""


class UnsupportedError(Exception):
    """The backend lacks a collective."""


class Backend(Protocol):
    """What a sweep needs of a library."""

    rank: int
    ranks: int
    local_ranks: int
    device: torch.device

    def run(self, collective: str, send: torch.Tensor, receive: torch.Tensor) -> None:
        """Run a collective to its end; UnsupportedError if there is none."""

    def barrier(self) -> None:
        """Wait for all ranks."""

    def gather(self, value: object) -> list[Any]:
        """Return every rank's value, in the order of ranks."""

    def close(self) -> None:
        """Leave in good order."""


class TorchBackend:
    """torch.distributed.

    Args:
        name: ``gloo`` or ``nccl``.
    """

    def __init__(self, name: str) -> None:
        self._group = init_process_group(name)
        self.rank, self.ranks = self._group.world.rank, self._group.world.size
        self.local_ranks = self._group.world.local_size
        self.device = torch.device("cpu") if name == "gloo" else self._group.device
        self._calls = _torch_calls()

    def run(self, collective: str, send: torch.Tensor, receive: torch.Tensor) -> None:
        """Run a collective to its end; with NCCL the device's end counts."""
        try:
            self._calls[collective](send, receive)
        except (NotImplementedError, RuntimeError) as error:
            if "not support" in str(error) or isinstance(error, NotImplementedError):
                raise UnsupportedError(str(error).splitlines()[0]) from error
            raise
        self._wait()

    def barrier(self) -> None:
        """Wait for all ranks."""
        dist.barrier()
        self._wait()

    def gather(self, value: object) -> list[Any]:
        """Return every rank's value, in the order of ranks."""
        values: list[Any] = [None] * self.ranks
        dist.all_gather_object(values, value)
        return values

    def close(self) -> None:
        """Destroy the group."""
        self._group.close()

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def _torch_calls() -> Mapping[str, Call]:
    # torch 2.13 has new names and warns of the old ones
    gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
    scatter = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor
    return {
        "all_reduce": lambda _send, receive: dist.all_reduce(receive),
        "all_gather": lambda send, receive: gather(receive, send),
        "reduce_scatter": lambda send, receive: scatter(receive, send),
        "broadcast": lambda _send, receive: dist.broadcast(receive, 0),
        "all_to_all": lambda send, receive: dist.all_to_all_single(receive, send),
    }


class MpiBackend:
    """MPI by mpi4py; arrays are in the host's memory."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        from mpi4py import MPI  # its import starts MPI

        self._mpi: Any = MPI
        self._comm: Any = MPI.COMM_WORLD
        self.rank, self.ranks = self._comm.Get_rank(), self._comm.Get_size()
        self.local_ranks = world().local_size

    def run(self, collective: str, send: torch.Tensor, receive: torch.Tensor) -> None:
        """Run a collective to its end."""
        here, there = send.numpy(), receive.numpy()
        match collective:
            case "all_reduce":
                self._comm.Allreduce(self._mpi.IN_PLACE, there)
            case "all_gather":
                self._comm.Allgather(here, there)
            case "reduce_scatter":
                self._comm.Reduce_scatter_block(here, there)
            case "broadcast":
                self._comm.Bcast(there, 0)
            case "all_to_all":
                self._comm.Alltoall(here, there)
            case _:
                raise UnsupportedError(collective)

    def barrier(self) -> None:
        """Wait for all ranks."""
        self._comm.Barrier()

    def gather(self, value: object) -> list[Any]:
        """Return every rank's value, in the order of ranks."""
        values: list[Any] = self._comm.allgather(value)
        return values

    def close(self) -> None:
        """Nothing: mpi4py ends MPI with the process."""


def open_backend(name: str) -> Backend:
    """Return a backend by its name: gloo, nccl or mpi."""
    return MpiBackend() if name == "mpi" else TorchBackend(name)
