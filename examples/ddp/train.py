"""Train a small network on the digits data with DistributedDataParallel.

The same file runs under mpijob-runtime, mpirun, torchrun and alone. With a checkpoint directory
that all hosts share, a job that is told to end saves at one step of all ranks, and its next start
goes on behind that step: no sample is left out or used twice.

    mpijob-runtime launch -- python train.py --checkpoint-dir /shared/ddp
    python train.py            # one process: the accuracy to compare with
"""

import argparse
import os
import socket
import sys

import torch
from digits import BASE_LR, HERE, Training

from mpijob_runtime.training import Metrics, Preemption, init_process_group


def save(path: str | None, scores: list[float], training: Training) -> None:
    """Replace the checkpoint as a whole: whoever is killed meanwhile leaves the old one."""
    state = {"scores": scores, "training": training.state()}
    if path and HERE.rank == 0:
        with open(f"{path}.new", "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{path}.new", path)


def main() -> int:
    """Train with each seed and print the mean accuracy on rank 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--warmup-epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--at-least", type=float, default=0.95, help="fail below this accuracy")
    parser.add_argument("--checkpoint-dir", help="where to save when told to end; shared by hosts")
    arguments = parser.parse_args()
    path = arguments.checkpoint_dir and os.path.join(arguments.checkpoint_dir, "checkpoint.pt")
    saved = {"scores": [], "training": None}
    if path and os.path.exists(path):
        saved = torch.load(path, map_location="cpu", weights_only=True)
    scores = saved["scores"]

    with init_process_group() as group, Preemption() as preemption, Metrics() as metrics:
        print(f"rank {HERE.rank} of {HERE.size} on {socket.gethostname()}", flush=True)
        for seed in arguments.seeds[len(scores) :]:
            training = Training(seed, arguments.warmup_epochs, group.device)
            if state := saved.pop("training", None):
                training.load_state(state)
                print(f"going on after step {training.steps_done} of seed {seed}", flush=True)
            metrics.start()
            for x, y in training.batches(arguments.epochs):
                loss = training.step(x, y)
                number = training.steps_done + len(scores) * arguments.epochs * len(training.loader)
                metrics.step(number, samples=len(x), loss=loss)
                if preemption.agreed(number):
                    save(path, scores, training)
                    print(f"told to end: step {training.steps_done}, saved: {path}", flush=True)
                    preemption.end()
            save(path, scores, training)
            scores.append(training.accuracy())
    mean = sum(scores) / len(scores)
    if HERE.rank == 0:
        each = ", ".join(f"{score:.1%}" for score in scores)
        print(
            f"accuracy {mean:.1%} (seeds: {each}) with {HERE.size} ranks, learning rate "
            f"{BASE_LR} x {HERE.size} after {arguments.warmup_epochs} epochs of warm-up",
            flush=True,
        )
    return 0 if mean >= arguments.at_least else 1


if __name__ == "__main__":
    sys.exit(main())
