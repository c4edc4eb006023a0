"""What training code imports: the world, the learning rate for it, metrics, an agreed end.

    from mpijob_runtime.training import Metrics, Preemption, Warmup
    from mpijob_runtime.training import init_process_group, scale_learning_rate, world

What needs torch is imported when it is used: this import alone loads none.

Layer: training; imports carried and errors only.
"""

from importlib import import_module
from typing import TYPE_CHECKING

# Not lazily: the submodule would take the place of the function of the same name.
from mpijob_runtime.training.world import World, world

if TYPE_CHECKING:
    from mpijob_runtime.training.distributed import init_process_group
    from mpijob_runtime.training.learning_rate import LearningRatePlan, scale_learning_rate
    from mpijob_runtime.training.metrics import Metrics
    from mpijob_runtime.training.preemption import Preemption
    from mpijob_runtime.training.warmup import Warmup

__all__ = [
    "LearningRatePlan",
    "Metrics",
    "Preemption",
    "Warmup",
    "World",
    "init_process_group",
    "scale_learning_rate",
    "world",
]

_HOMES = {
    "LearningRatePlan": "learning_rate",
    "Metrics": "metrics",
    "Preemption": "preemption",
    "Warmup": "warmup",
    "init_process_group": "distributed",
    "scale_learning_rate": "learning_rate",
}
"""Public name -> the submodule that has it."""


def __getattr__(name: str) -> object:
    """Import a public name from its submodule (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
