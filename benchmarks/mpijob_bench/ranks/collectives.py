"""Measures collectives: a line for each rank, collective and size.

    python -m mpijob_bench.ranks.collectives --backend gloo --collectives all_reduce

Lines, by their key ``bench``: ``sweep`` from rank 0, what will be measured and what memory allows;
``collective``, what this rank has measured at one size; ``unsupported``, a collective that the
backend lacks, from rank 0.
"""

import argparse
import socket
from collections.abc import Sequence
from dataclasses import asdict

from mpijob_bench.comm.bandwidth import COLLECTIVES
from mpijob_bench.comm.options import ARRAYS, BACKENDS, Sweep, sweep_sizes
from mpijob_bench.ranks.backends import Backend, UnsupportedError, open_backend
from mpijob_bench.ranks.measurement import measure
from mpijob_bench.ranks.memory import available_bytes, boot_id
from mpijob_bench.ranks.patterns import Pattern
from mpijob_bench.ranks.tell import tell


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what was asked for."""
    sweep = _parse(argv)
    backend = open_backend(sweep.backend)
    memory = _memory(backend)
    sizes = sweep_sizes(
        sweep, max_bytes=min(sweep.max_bytes, memory // ARRAYS), ranks=backend.ranks
    )
    if backend.rank == 0:
        facts = {"memory_bytes": memory, "device": _device(backend), "ranks": backend.ranks}
        tell("sweep", sizes=sizes, **facts)
    pattern = Pattern(backend.ranks, backend.device)
    for collective in sweep.collectives:
        left = [size for size in sizes if (collective, size) not in sweep.done]
        _sweep(backend, pattern, sweep, collective, left)
    backend.barrier()
    backend.close()


def _sweep(
    backend: Backend, pattern: Pattern, sweep: Sweep, collective: str, sizes: Sequence[int]
) -> None:
    for size in sizes:
        try:
            measured = measure(backend, pattern, sweep, collective, size)
        except UnsupportedError as error:
            if backend.rank == 0:
                tell("unsupported", collective=collective, reason=str(error))
            return
        tell("collective", collective=collective, bytes=size, **asdict(measured))


def _memory(backend: Backend) -> int:
    """Return what the rank with the least memory may take, by the same count on all ranks."""
    machine = boot_id() or socket.gethostname()
    sharing = backend.gather(machine).count(machine)
    own = available_bytes(backend.device, sharing_pod=backend.local_ranks, sharing_machine=sharing)
    least: int = min(backend.gather(own))
    return least


def _device(backend: Backend) -> str:
    if backend.device.type == "cuda":
        import torch

        return str(torch.cuda.get_device_name(backend.device))
    return "cpu"


def _parse(argv: Sequence[str] | None) -> Sweep:
    parser = argparse.ArgumentParser(description="Measure collectives.")
    parser.add_argument("--backend", choices=BACKENDS, default=Sweep().backend)
    parser.add_argument("--collectives", type=_collectives, default=COLLECTIVES)
    for name in ("min_bytes", "max_bytes", "factor", "warmup", "min_iterations", "max_iterations"):
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, default=getattr(Sweep(), name))
    parser.add_argument("--budget-seconds", type=float, default=Sweep().budget_seconds)
    parser.add_argument("--corrupt", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--done", nargs=2, action="append", default=[], metavar=("NAME", "BYTES"))
    options = vars(parser.parse_args(argv))
    done = tuple((name, int(size)) for name, size in options.pop("done"))
    return Sweep(**options, done=done)


def _collectives(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - set(COLLECTIVES):
        raise argparse.ArgumentTypeError(f"no collective: {', '.join(sorted(unknown))}")
    return names


if __name__ == "__main__":
    main()
