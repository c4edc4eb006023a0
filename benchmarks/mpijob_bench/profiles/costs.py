"""Counts floating-point operations and bytes of each operation that torch really calls.

The operations run on fake tensors, so autograd, autocast and the order of the backward pass are
torch's own, at full size, and no memory is needed.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

aten = torch.ops.aten

# A kernel on a GPU neither launches nor moves anything for these.
FREE = {
    aten._unsafe_view,  # noqa: SLF001
    aten.empty,
    aten.empty_like,
    aten.empty_strided,
    aten.new_empty,
    aten.new_empty_strided,
    aten.lift_fresh,
}
ATTENTION = aten._scaled_dot_product_flash_attention_for_cpu  # noqa: SLF001
ATTENTION_BACKWARD = aten._scaled_dot_product_flash_attention_for_cpu_backward  # noqa: SLF001
CAUSAL_ARGUMENT = 4  # position of is_causal in ATTENTION
CAUSAL_ARGUMENT_BACKWARD = 7


class CostMode(TorchDispatchMode):
    """Adds up the time of all operations that run inside."""

    def __init__(self, seconds_of: Callable[[float, float], float]) -> None:
        """Start at zero.

        Args:
            seconds_of: The seconds of one kernel from its operations and its bytes.
        """
        super().__init__()
        self.seconds = 0.0
        self.flops = 0.0
        self.moved_bytes = 0.0
        self._seconds_of = seconds_of

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - an operator of torch
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        result = func(*args, **(kwargs or {}))
        if _is_kernel(func, result):
            flops = flops_of(func.overloadpacket, args, kwargs or {}, result)
            moved = bytes_of(func.overloadpacket, args, kwargs or {}, result)
            self.flops += flops
            self.moved_bytes += moved
            self.seconds += self._seconds_of(flops, moved)
        return result


def _is_kernel(func: Any, result: object) -> bool:  # noqa: ANN401
    has_tensors = any(isinstance(leaf, Tensor) for leaf in tree_leaves(result))
    return has_tensors and not func.is_view and func.overloadpacket not in FREE


def flops_of(
    operator: object, args: tuple[Any, ...], kwargs: dict[str, Any], result: object
) -> float:
    """Return the operations of matrix products and convolutions; the rest counts as bytes.

    Attention's formula is torch's for the GPU kernel; a causal one skips half of the blocks.
    """
    if operator is ATTENTION:
        flops = sdpa_flop_count(*(tensor.shape for tensor in args[:3]))
        return float(flops) / (2 if _is_causal(args, kwargs, CAUSAL_ARGUMENT) else 1)
    if operator is ATTENTION_BACKWARD:
        flops = sdpa_backward_flop_count(*(tensor.shape for tensor in args[:4]))
        return float(flops) / (2 if _is_causal(args, kwargs, CAUSAL_ARGUMENT_BACKWARD) else 1)
    if operator in flop_registry:
        return float(flop_registry[operator](*args, **kwargs, out_val=result))
    return 0.0


def _is_causal(args: tuple[Any, ...], kwargs: dict[str, Any], position: int) -> bool:
    return bool(kwargs.get("is_causal", args[position] if len(args) > position else False))


def bytes_of(
    operator: object, args: tuple[Any, ...], kwargs: dict[str, Any], result: object
) -> float:
    """Return the bytes that a kernel reads and writes, each tensor once."""
    results = _tensors(result)
    if operator is aten.embedding:  # reads the rows that it looks up, not the whole table
        return 2 * sum(map(_bytes, results))
    return sum(map(_bytes, _tensors((args, kwargs)))) + sum(map(_bytes, results))


def _tensors(tree: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _bytes(tensor: Tensor) -> float:
    """Return a tensor's bytes in memory; an expanded one is read from fewer."""
    return float(min(tensor.numel() * tensor.itemsize, tensor.untyped_storage().nbytes()))
