"""End a training job at random steps, start it again, and compare with an undisturbed one.

Runs inside an image that has torch, scikit-learn and mpijob-runtime; ``preemption.py`` starts it
there. A round is good if, of the job that was told to end,

- the launcher ends with 75 and the report says ``preempted``;
- all ranks have stopped after the same step;

and, of the job that goes on from its checkpoint,

- it succeeds;
- each rank has done each step once over both starts, with the loss of the undisturbed job, to
  the last bit: so it had the same samples and the same weights;
- the final weights have the same SHA-256.
"""

import argparse
import glob
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

SECONDS = 300
TRY_AGAIN = 75
EPOCHS = 10
LATEST = 0.9
"""Share of the steps after which no job is told to end: it might succeed before."""
Losses = list[tuple[int, float]]


@dataclass(frozen=True)
class Told:
    """When a job was told to end.

    Attributes:
        step: the last that rank 0 had shown; it shows one every 0.1 s.
        at: the moment, by this machine's clock.
    """

    step: int
    at: float


class Job:
    """A training job in a directory that holds its checkpoint and what its ranks have noted."""

    def __init__(self, directory: str, launch: Sequence[str]) -> None:
        self.directory = directory
        self._launch = tuple(launch)

    def run(self, end_at_step: int | None = None) -> tuple[int, str, Told | None]:
        """Start the job and return its code, its outcome, and when it was told to end."""
        report = f"{self.directory}/report.json"
        program = (sys.executable, "examples/ddp/train.py", "--at-least", "0", "--seeds", "1")
        argv = (
            *("mpijob-runtime", "launch", *self._launch, "--report", report, "--grace", "60"),
            *("--", *program, "--epochs", str(EPOCHS), "--checkpoint-dir", self.directory),
        )
        environ = os.environ | {
            "MPIJOB_METRICS_DIR": self.directory,
            "MPIJOB_RUN_DIR": f"{self.directory}/run",
            "OMP_NUM_THREADS": "1",
        }
        with open(f"{self.directory}/log", "a", encoding="utf-8") as log:
            process = subprocess.Popen(argv, env=environ, stdout=log, stderr=log)
        try:
            told = None if end_at_step is None else self._end(process, end_at_step)
            code = process.wait(SECONDS)
        finally:
            process.kill()
        with open(report, encoding="utf-8") as file:
            return code, json.load(file)["outcome"], told

    def _end(self, process: subprocess.Popen[bytes], step: int) -> Told | None:
        """Tell the launcher to end once rank 0 is so far; None if the job ends before."""
        deadline = time.monotonic() + SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            shown = max((int(read(p) or 0) for p in self._progress_files()), default=0)
            if shown >= step:
                process.send_signal(signal.SIGTERM)
                return Told(shown, time.time())
            time.sleep(0.002)
        return None

    def _progress_files(self) -> list[str]:
        return glob.glob(f"{self.directory}/run/step-*-0")

    def losses(self) -> dict[str, Losses]:
        """Return the steps that each rank has done, in order, each with its loss."""
        found = {}
        for path in glob.glob(f"{self.directory}/metrics-rank-*.jsonl"):
            lines = map(json.loads, read(path).splitlines())
            found[os.path.basename(path)] = [(line["step"], line["loss"]) for line in lines]
        return found

    def weights_sha256(self) -> str:
        """Return a hash of the network's weights."""
        state = torch.load(f"{self.directory}/checkpoint.pt", weights_only=True)
        network = state["training"]["parts"][0]
        digest = hashlib.sha256()
        for name in sorted(network):
            digest.update(name.encode() + network[name].numpy().tobytes())
        return digest.hexdigest()


def main() -> int:
    """Print one object for the undisturbed job and one for each round; 1 if one is not good."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--launch", nargs="+", default=["--host", "localhost:4"])
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as place:
        undisturbed = Job(make(place, "undisturbed"), arguments.launch)
        code, outcome, _ = undisturbed.run()
        steps = len(next(iter(undisturbed.losses().values()), []))
        show(undisturbed="", code=code, outcome=outcome, steps=steps, seed=arguments.seed)
        if code or not steps:
            print(read(f"{undisturbed.directory}/log"))
            return 1
        bad = 0
        for number in range(1, arguments.rounds + 1):
            job = Job(make(place, f"round-{number}"), arguments.launch)
            found = play(job, undisturbed, chance.randint(1, int(steps * LATEST)))
            show(round=number, **found)
            if found["wrong"]:
                bad += 1
                print(read(f"{job.directory}/log"))
            shutil.rmtree(job.directory)
    print(f"{arguments.rounds - bad} of {arguments.rounds} rounds are good")
    return 1 if bad else 0


def play(job: Job, undisturbed: Job, end_at_step: int) -> dict[str, Any]:
    """End a job at a step, start it again, and return what was found and what is wrong with it."""
    code, outcome, told = job.run(end_at_step)
    ended = time.time()
    first = job.losses()
    last = {losses[-1][0] if losses else 0 for losses in first.values()}
    again = job.run()[:2]
    wrong = [
        name
        for name, good in {
            "told to end": told is not None,
            "code and outcome of the first": (code, outcome) == (TRY_AGAIN, "preempted"),
            "one step of all ranks": len(last) == 1 and len(first) == len(undisturbed.losses()),
            "code and outcome of the second": again == (0, "succeeded"),
            "each step once, with its loss": job.losses() == undisturbed.losses(),
            "final weights": job.weights_sha256() == undisturbed.weights_sha256(),
        }.items()
        if not good
    ]
    shown = {} if told is None else {"told_at": told.step, "seconds": round(ended - told.at, 2)}
    return {**shown, "stopped_after": sorted(last), "codes": [code, again[0]], "wrong": wrong}


def make(place: str, name: str) -> str:
    """Return a new directory."""
    path = os.path.join(place, name)
    os.makedirs(path)
    return path


def read(path: str) -> str:
    """Return a file's text."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def show(**values: object) -> None:
    """Print an object on a line."""
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    sys.exit(main())
