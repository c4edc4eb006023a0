"""How gradients of ranks become their mean: by DDP or Horovod, whole or cut down.

Modes of a launch (benchmark attribution, docs/benchmarks.md):

full   whole gradients, as in training
local  no communication: what the ranks compute, each by itself
tiny   each bucket is one element: waiting and latency are there, the bytes are not
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Literal, Protocol, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mpijob_bench.buckets import BUCKET_BYTES, FIRST_BUCKET_BYTES, MIB
from mpijob_bench.plan import Options
from mpijob_bench.ranks.computing import Computing

Mode = Literal["full", "local", "tiny"]
MODES: tuple[Mode, ...] = ("full", "local", "tiny")

Hook = Callable[[Any, dist.GradBucket], torch.futures.Future[Tensor]]


class Reducing(Protocol):
    """Steps of one mode."""

    def step(self) -> None:
        """Do one step up to its reduced gradients; the optimizer's part comes after."""


class DdpReducing:
    """DistributedDataParallel.

    Args:
        computing: whose module is wrapped.
        mode: of the block.
        options: DDP's part of them is taken.
        group: the ranks that reduce.
        byte_scale: buckets are smaller by this factor, as the gradients are.
        delay_seconds: a known fault: each bucket is sent so much later.
    """

    def __init__(
        self,
        computing: Computing,
        mode: Mode,
        options: Options,
        *,
        group: dist.ProcessGroup,
        byte_scale: float = 1.0,
        delay_seconds: float = 0.0,
    ) -> None:
        self._computing, self._mode = computing, mode
        self._accumulation = options.accumulation
        self._wrapped = DistributedDataParallel(
            computing.module,
            process_group=group,
            gradient_as_bucket_view=options.gradient_as_bucket_view,
            **bucket_arguments(options.bucket_mb, byte_scale),
        )
        hook = choose_hook(mode, options.compression)
        if delay_seconds:
            hook = delayed(hook or _default_hook(), delay_seconds)
        if hook:
            self._wrapped.register_comm_hook(group, hook)

    def step(self) -> None:
        """Do the micro-steps; the last one reduces."""
        for micro in range(self._accumulation):
            reduces = self._mode != "local" and micro == self._accumulation - 1
            with nullcontext() if reduces else self._wrapped.no_sync():
                self._computing.backward(self._wrapped)


def bucket_arguments(bucket_mb: float | None, byte_scale: float) -> dict[str, Any]:
    """Return DDP's arguments for buckets; at scale 1 and without a wish DDP decides itself."""
    if bucket_mb is not None:
        return {"bucket_cap_mb": bucket_mb / byte_scale}
    if byte_scale == 1:
        return {}
    caps = (FIRST_BUCKET_BYTES, BUCKET_BYTES)
    return {"bucket_cap_mb_list": [cap / MIB / byte_scale for cap in caps]}


def choose_hook(mode: Mode, compression: str) -> Hook | None:
    """Return the communication hook of a mode; None is DDP's own all-reduce."""
    if mode == "tiny":
        return reduce_one_element
    if mode == "local" or compression == "none":
        return None
    from torch.distributed.algorithms.ddp_comm_hooks import default_hooks

    return cast(Hook, getattr(default_hooks, f"{compression}_compress_hook"))


def reduce_one_element(
    group: dist.ProcessGroup, bucket: dist.GradBucket
) -> torch.futures.Future[Tensor]:
    """Reduce the first element of a bucket and leave the others as they are."""
    buffer = bucket.buffer()
    future = dist.all_reduce(buffer[:1], group=group, async_op=True).get_future()
    return cast("torch.futures.Future[Tensor]", future.then(lambda _: buffer))


def delayed(hook: Hook, seconds: float) -> Hook:
    """Return a hook that waits before it does another's work."""

    def wait_first(state: Any, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:  # noqa: ANN401
        time.sleep(seconds)
        return hook(state, bucket)

    return wait_first


def _default_hook() -> Hook:
    from torch.distributed.algorithms.ddp_comm_hooks import default_hooks

    return cast(Hook, default_hooks.allreduce_hook)


class HorovodReducing:
    """Horovod's DistributedOptimizer, initialised before (horovod_start.py).

    Args:
        computing: whose parameters' gradients are reduced.
        mode: of the block.
        options: Horovod's part of them is taken.
    """

    def __init__(self, computing: Computing, mode: Mode, options: Options) -> None:
        import horovod.torch as hvd

        self._computing = computing
        self._accumulation = options.accumulation
        self._synchronize: Callable[[], object] = lambda: None
        self._last = False
        if mode == "full":
            optimizer = torch.optim.SGD(computing.module.parameters(), lr=0.0)
            wrapped = hvd.DistributedOptimizer(
                optimizer,
                named_parameters=computing.module.named_parameters(),
                compression=hvd.Compression.fp16
                if options.compression == "fp16"
                else hvd.Compression.none,
                backward_passes_per_step=options.accumulation,
            )
            self._synchronize = wrapped.synchronize
        elif mode == "tiny":
            self._synchronize = self._reduce_one_element_each(hvd)

    def step(self) -> None:
        """Do the micro-steps and wait for the sums."""
        for micro in range(self._accumulation):
            self._last = micro == self._accumulation - 1
            self._computing.backward(self._computing.module)
        self._synchronize()

    def _reduce_one_element_each(self, hvd: Any) -> Callable[[], object]:  # noqa: ANN401
        handles: list[int] = []

        def send(name: str, parameter: nn.Parameter) -> None:
            if self._last and parameter.grad is not None:
                one = parameter.grad.view(-1)[:1].clone()
                handles.append(hvd.allreduce_async_(one, name=f"one.{name}"))

        for name, parameter in self._computing.module.named_parameters():
            parameter.register_post_accumulate_grad_hook(
                lambda tensor, name=name: send(name, tensor)
            )

        def synchronize() -> None:
            for handle in handles:
                hvd.synchronize(handle)
            handles.clear()

        return synchronize
