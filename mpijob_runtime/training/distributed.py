"""torch.distributed under mpirun: backend, device, timeout, and an end that nobody waits for.

Layer: training; imports torch, errors and training's world.
"""

import atexit
import os
import sys
from contextlib import suppress
from datetime import timedelta
from types import TracebackType

import torch
import torch.distributed as dist

from mpijob_runtime.errors import UsageError, WorldError
from mpijob_runtime.training.world import World, process_environ, world

TIMEOUT_SECONDS = 600.0
"""How long a rank waits for the others in a collective, with NCCL (torch's default) and with Gloo
(torch: 1,800). All ranks start at once, so what it must cover is the longest time that some ranks
work alone, such as a checkpoint or an evaluation; a rank that has died is noticed sooner.
"""

_KILLED_BY_INTERRUPT = 130


class ProcessGroup:
    """The initialised default process group; a context manager that destroys it.

    Attributes:
        world: this rank's place.
        backend: ``nccl``, ``gloo`` or what was asked for.
        device: where this rank's tensors belong.
    """

    def __init__(self, place: World, backend: str, device: torch.device) -> None:
        self.world = place
        self.backend = backend
        self.device = device
        self._exit_code: int | None = None
        if place.size > 1:
            self._guard()

    def close(self) -> None:
        """Destroy the group; harmless if that was done already."""
        if dist.is_initialized():
            dist.destroy_process_group()

    def __enter__(self) -> "ProcessGroup":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Destroy the group; after an error leave it as it is.

        Other ranks are then waiting for this one in a collective that it will not join, and to
        destroy the group can mean to wait for them.
        """
        if isinstance(error, SystemExit) and error.code:
            self._exit_code = error.code if isinstance(error.code, int) else 1
        elif error is None or isinstance(error, SystemExit) or self.world.size == 1:
            self.close()

    def _end_at_once(self) -> None:
        """Leave Python without its clean-up, which would wait for pending collectives."""
        if self._exit_code is not None and dist.is_initialized():
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):  # nobody reads it, or it is closed
                    stream.flush()
            os._exit(self._exit_code & 0xFF)

    def _guard(self) -> None:
        """See to it that an error that nobody catches ends this process promptly.

        Gloo's and NCCL's clean-up wait for collectives that are under way; meanwhile other ranks
        fail, and the job's first failure seems to be theirs.
        """
        atexit.register(self._end_at_once)
        show = sys.excepthook

        def show_and_end(
            kind: type[BaseException], error: BaseException, trace: TracebackType | None
        ) -> None:
            interrupted = isinstance(error, KeyboardInterrupt)
            self._exit_code = _KILLED_BY_INTERRUPT if interrupted else 1
            try:
                show(kind, error, trace)
            finally:
                self._end_at_once()

        sys.excepthook = show_and_end


def init_process_group(
    backend: str | None = None, *, timeout_seconds: float = TIMEOUT_SECONDS
) -> ProcessGroup:
    """Initialise torch.distributed for this rank, whatever started it.

        with init_process_group() as group:
            model = DistributedDataParallel(network.to(group.device))

    Left in good order, the block destroys the group. An exception that nobody catches ends the
    process at once with its traceback and exit code 1, without waiting for other ranks, so that
    the launcher can name this rank and end the others.

    Args:
        backend: ``nccl`` or ``gloo``; None takes NCCL where torch sees GPUs, else Gloo.
        timeout_seconds: how long a collective waits for other ranks.

    Raises:
        UsageError: the process group is initialised already, or NCCL is asked for without GPUs.
        WorldError: this rank's place is unclear, rank 0's address is not known, or the host has
            fewer GPUs than ranks that need one each.
    """
    if dist.is_initialized():
        message = f"torch.distributed is initialised already, with {dist.get_backend()}"
        raise UsageError(message, remedy="call init_process_group() once, or close the first group")
    place = world()
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    backend = backend or ("nccl" if gpus and dist.is_nccl_available() else "gloo")
    device = choose_device(place, gpus=gpus, backend=backend)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    options = {"store": dist.HashStore()} if place.size == 1 else {"init_method": "env://"}
    if place.size == 1:
        # Gloo binds to the host's address; its name may have none, and a look-up takes 10 s.
        process_environ().setdefault("GLOO_SOCKET_IFNAME", "lo")
    elif not place.master:
        message = f"{place.size} ranks by {place.launcher}, but MASTER_ADDR or MASTER_PORT is unset"
        remedy = "start with mpijob-runtime launch, or set them to rank 0's host and a free port"
        raise WorldError(message, remedy=remedy)
    dist.init_process_group(
        backend,
        rank=place.rank,
        world_size=place.size,
        timeout=timedelta(seconds=timeout_seconds),
        device_id=device if backend == "nccl" else None,  # NCCL need not guess it later
        **options,
    )
    return ProcessGroup(place, backend, device)


def choose_device(place: World, *, gpus: int, backend: str) -> torch.device:
    """Return this rank's device: the launcher's choice, else by local rank.

    Args:
        place: this rank's place.
        gpus: how many GPUs torch sees on this host.
        backend: NCCL refuses two ranks on one GPU, so there must be one for each.

    Raises:
        UsageError: NCCL, and no GPUs.
        WorldError: NCCL, and fewer GPUs than ranks here; or the launcher's choice is not there.
    """
    if not gpus:
        if backend == "nccl":
            message = "backend nccl needs GPUs, and torch sees none"
            raise UsageError(message, remedy="leave the backend out, or ask the cluster for GPUs")
        return torch.device("cpu")
    if place.gpu is not None and place.gpu >= gpus:
        message = f"found MPIJOB_GPU={place.gpu}, wanted less than the {gpus} GPUs that torch sees"
        raise WorldError(message, remedy="do not set CUDA_VISIBLE_DEVICES per rank, or unset both")
    if backend == "nccl" and place.local_size > gpus:
        message = f"{place.local_size} ranks share {gpus} GPUs of this host, which NCCL refuses"
        raise WorldError(message, remedy="as many slots as GPUs, or init_process_group('gloo')")
    index = place.local_rank % gpus if place.gpu is None else place.gpu
    return torch.device("cuda", index)
