"""Measure what Metrics costs a step, against the same loop without it, in turns.

One sample is the difference between two loops of so many steps, divided by the steps; all that
is written is written within the loop. Runs anywhere; the torch image adds losses that are tensors:

    .venv/bin/python benchmarks/training/metrics.py
"""

import argparse
import gc
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mpijob_runtime.training.metrics import Metrics

PORT = 19400
Loop = Callable[[], None]


def main() -> None:
    """Measure each way in turns and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40, help="pairs of loops")
    parser.add_argument("--steps", type=int, default=2000, help="steps of a loop")
    parser.add_argument("--flush", type=int, default=10, help="steps between two writes")
    arguments = parser.parse_args()
    print(f"µs of processor time a step: median (quartiles; largest), {arguments.rounds} pairs of "
          f"{arguments.steps} steps, written every {arguments.flush}")  # fmt: skip
    losses: dict[str, object] = {"a number": 0.25}
    try:
        import torch
    except ImportError:
        print("no torch here: no losses that are tensors")
    else:
        losses["a tensor"] = torch.tensor(0.25, requires_grad=True) * 2
    with tempfile.TemporaryDirectory() as place:
        for loss_kind, loss in losses.items():
            for name, options in ways(place).items():
                with measured(options, place) as metrics:
                    costs = cost_us(metrics, loss, arguments)
                print(f"{name}, loss is {loss_kind}: {describe(costs)}")


def ways(place: str) -> dict[str, dict[str, object]]:
    """Return what can be asked for."""
    lines: dict[str, object] = {"directory": place}
    everything = {**lines, "textfile_directory": place, "port": PORT}
    return {"step number only": {}, "JSON lines": lines, "all of it": everything}


@contextmanager
def measured(options: dict[str, object], place: str) -> Iterator[Metrics]:
    """Give metrics that write only where the loop says so, and the step number as a job does."""
    environ = {"MPIJOB_PROGRESS_FILE": f"{place}/step"}
    with Metrics(**options, flush_seconds=3600, environ=environ) as metrics:  # type: ignore[arg-type]
        yield metrics


def cost_us(metrics: Metrics, loss: object, arguments: argparse.Namespace) -> list[float]:
    """Return the cost of a step in microseconds, once for each pair of loops."""

    def without() -> None:
        for step in range(arguments.steps):
            if step % arguments.flush == 0:
                pass

    def with_metrics() -> None:
        for step in range(arguments.steps):
            metrics.step(step, samples=32, loss=loss)  # type: ignore[arg-type]
            if step % arguments.flush == 0:
                metrics.flush()

    costs = []
    for _ in range(arguments.rounds):
        pair: list[Loop] = [without, with_metrics]
        random.shuffle(pair)
        seconds = {loop: timed(loop) for loop in pair}
        costs.append((seconds[with_metrics] - seconds[without]) / arguments.steps * 1e6)
    return costs


def timed(loop: Loop) -> float:
    """Return how many seconds of processor time a loop takes: others use this machine, too."""
    gc.collect()
    began = time.thread_time()
    loop()
    return time.thread_time() - began


def describe(costs: list[float]) -> str:
    """Return median, quartiles and the largest value."""
    low, middle, high = statistics.quantiles(costs, n=4)
    return f"{middle:.1f} ({low:.1f} to {high:.1f}; {max(costs):.1f})"


if __name__ == "__main__":
    main()
