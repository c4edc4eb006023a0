"""Directories of results that no benchmark has written: numbers by hand, with chosen losses."""

import hashlib
import json
import random
from dataclasses import dataclass, field
from typing import Any

MODES = ("full", "local", "tiny")


@dataclass(frozen=True)
class Recipe:
    """What a result is to show.

    Attributes:
        nodes: of the job.
        pairs: of launches.
        seed: of the noise.
        noise: standard deviation of a launch's log rate; 0 gives the factors exactly.
        slowest: rate of the last node / rate of the others.
        compute: rate in the job / rate alone.
        serialisation: of all pairs.
        transfer: of all pairs.
        step_seconds: of a node alone.
        batch: samples of a step and node.
        alpha_seconds: of the network.
        bandwidth: of the network, bytes per second.
        curve: launches of other numbers of nodes.
        comm: whether there is a sweep.
        steps: of each mode in steps.jsonl; 0 leaves the file out.
        fidelity: of the result.
        changes: laid over the result in the end.
    """

    nodes: int = 8
    pairs: int = 5
    seed: int = 1
    noise: float = 0.004
    slowest: float = 1.0
    compute: float = 0.99
    serialisation: float = 0.975
    transfer: float = 0.95
    step_seconds: float = 0.1036
    batch: int = 256
    alpha_seconds: float = 45e-6
    bandwidth: float = 2.6e9
    curve: tuple[int, ...] = (2, 4)
    comm: bool = True
    steps: int = 60
    fidelity: str = "measured"
    changes: dict[str, Any] = field(default_factory=dict)


def result_of(recipe: Recipe) -> dict[str, Any]:
    """Return a result."""
    chance = random.Random(recipe.seed)
    launches = _launches(recipe, chance)
    by_pair = [(launches[2 * pair], launches[2 * pair + 1]) for pair in range(recipe.pairs)]
    pairs = []
    for number, two in enumerate(by_pair):
        alone, together = sorted(two, key=lambda one: one["kind"])
        pairs.append(
            {
                "order": number,
                "alone": alone["modes"]["full"]["samples_per_second"],
                "together": together["modes"]["full"]["job_samples_per_second"],
                "status": "ok",
            }
        )
    return {
        "schema": "scalebench/1",
        "fidelity": recipe.fidelity,
        "plan": {
            "target": 0.85,
            "nodes": recipe.nodes,
            "pairs": recipe.pairs,
            "hash": hashlib.sha256(b"hand-made").hexdigest(),
            "seed": recipe.seed,
        },
        "pairs": pairs,
        "guards": _guards(),
        "transport": {"declared": "tcp", "observed": "tcp"},
        "wrong_elements": 0,
        "workload": {
            "kind": "profile" if recipe.fidelity == "emulated" else "model",
            "name": "resnet50",
            "size": {},
            "batch": recipe.batch,
            "framework": "ddp",
            "options": {"bucket_mb": None, "compression": "none", "accumulation": 1},
            "argv": [],
        },
        "steps": {"warmup": 20, "warmup_seconds": 30, "full": 200, "ablation": 50},
        "emulation": _emulation() if recipe.fidelity == "emulated" else None,
        "comm": comm_of(recipe, chance) if recipe.comm else None,
        "environment": {"NCCL_DEBUG": "INFO", "OMP_NUM_THREADS": "8", "HF_TOKEN": "hf_verysecret"},
        "versions": {"python": "3.11.2", "torch": "2.13.0", "mpijob-bench": "0.1.0"},
        "hosts": hosts_of(recipe),
        "launches": launches,
    } | recipe.changes


def hosts_of(recipe: Recipe) -> list[str]:
    """Return the names of the hosts."""
    return [f"train-worker-{node}" for node in range(recipe.nodes)]


def _guards() -> list[dict[str, Any]]:
    return [
        {"name": "slow node: slowest / median alone", "ok": True, "value": 0.991, "limit": 0.95},
        {"name": "clock offset, ms", "ok": True, "value": 0.8, "limit": 50.0},
        {"name": "distinct physical nodes", "ok": True, "value": "8 boot ids", "limit": "8"},
    ]


def _emulation() -> dict[str, Any]:
    return {
        "network": "25gbit",
        "byte_scale": 16.0,
        "time_scale": 4.0,
        "rate_bits_per_second": 390625000,
        "jitter_cv": 0.0,
        "inject": {},
    }


def _launches(recipe: Recipe, chance: random.Random) -> list[dict[str, Any]]:
    kinds: list[tuple[str, int, int | None]] = []
    for pair in range(recipe.pairs):
        two = [("alone", recipe.nodes, pair), ("together", recipe.nodes, pair)]
        kinds += two if (pair + 1) // 2 % 2 == 0 else two[::-1]
    kinds += [("together", nodes, None) for nodes in recipe.curve]
    started, launches = 1_790_000_000.0, []
    for number, (kind, nodes, pair) in enumerate(kinds):
        modes = _alone(recipe, chance) if kind == "alone" else _together(recipe, chance, nodes)
        launches.append(
            {
                "number": number,
                "kind": kind,
                "nodes": nodes,
                "pair": pair,
                "order": number,
                "started": started,
                "seconds": 74.0,
                "status": "ok",
                "reason": "",
                "hosts": hosts_of(recipe)[:nodes],
                "modes": modes,
            }
        )
        started += 80.0 + 4 * chance.random()
    return launches


def _rates(recipe: Recipe, nodes: int) -> list[float]:
    rate = recipe.batch / recipe.step_seconds
    return [rate] * (nodes - 1) + [rate * recipe.slowest]


def _noise(recipe: Recipe, chance: random.Random) -> float:
    return float(2.718281828459045 ** (recipe.noise * chance.gauss(0, 1)))


def _alone(recipe: Recipe, chance: random.Random) -> dict[str, Any]:
    rates = [rate * _noise(recipe, chance) for rate in _rates(recipe, recipe.nodes)]
    return {"full": _mode(recipe, rates, None, steps=200)}


def _together(recipe: Recipe, chance: random.Random, nodes: int) -> dict[str, Any]:
    share = (nodes - 1) / (recipe.nodes - 1)  # losses grow with the nodes
    local = [
        rate * recipe.compute**share * _noise(recipe, chance) for rate in _rates(recipe, nodes)
    ]
    tiny = min(local) * nodes * recipe.serialisation**share * _noise(recipe, chance)
    full = tiny * recipe.transfer**share * _noise(recipe, chance)
    return {
        "full": _mode(recipe, [full / nodes] * nodes, full, steps=200),
        "local": _mode(recipe, local, None, steps=50),
        "tiny": _mode(recipe, [tiny / nodes] * nodes, tiny, steps=50),
    }


def _mode(recipe: Recipe, rates: list[float], job: float | None, *, steps: int) -> dict[str, Any]:
    means = [recipe.batch / rate for rate in rates]
    slowest = max(means)
    return {
        "steps": steps,
        "samples_per_second": rates,
        "job_samples_per_second": sum(rates) if job is None else job,
        "mean_seconds": means,
        "step_seconds": {
            "mean": slowest,
            "p50": 0.995 * slowest,
            "p90": 1.02 * slowest,
            "p99": 1.09 * slowest,
            "max": 1.4 * slowest,
            "cv": 0.021,
            "mad": 0.008 * slowest,
        },
        "spikes": {"limit_seconds": 1.1 * slowest, "all_ranks": 1, "some_ranks": 2},
        "neighbour_correlation": 0.31,
        "settled": True,
    }


def comm_of(recipe: Recipe, chance: random.Random) -> dict[str, Any]:
    """Return a sweep of allreduce on the recipe's network."""
    ranks, results = recipe.nodes, []
    for power in range(10, 29):
        size = 2**power
        seconds = 2 * (ranks - 1) * recipe.alpha_seconds
        seconds += 2 * (ranks - 1) / ranks * size / recipe.bandwidth
        seconds *= 1 + 6 * recipe.noise * abs(chance.gauss(0, 1))
        results.append(
            {
                "collective": "all_reduce",
                "bytes": size,
                "iterations": 20,
                "wrong_elements": 0,
                "seconds": {
                    "min": 0.97 * seconds,
                    "mean": 1.01 * seconds,
                    "p50": seconds,
                    "p90": 1.05 * seconds,
                    "p99": 1.2 * seconds,
                    "max": 1.3 * seconds,
                },
                "algbw_bytes_per_second": size / seconds,
                "busbw_bytes_per_second": size / seconds * 2 * (ranks - 1) / ranks,
                "rank_p50_seconds": [seconds] * ranks,
            }
        )
    fit = {
        "alpha_seconds": recipe.alpha_seconds,
        "bandwidth_bytes_per_second": recipe.bandwidth,
        "overhead_seconds": 0.0,
        "r2": 0.998,
        "residual": 0.06,
    }
    return {
        "schema": "comm/1",
        "fidelity": recipe.fidelity,
        "backend": "gloo",
        "nodes": recipe.nodes,
        "ranks": ranks,
        "hosts": hosts_of(recipe),
        "results": results,
        "fits": {"all_reduce": fit},
    }


def write_steps(path: Any, recipe: Recipe, result: dict[str, Any]) -> None:
    """Write steps.jsonl: each step of each rank, the last rank with a bad spell."""
    chance = random.Random(recipe.seed + 1)
    with open(path, "w", encoding="utf-8") as file:
        for launch in result["launches"]:
            for mode, told in launch["modes"].items():
                for step in range(recipe.steps + 5):
                    common = chance.lognormvariate(0, 0.012)
                    common *= 1.5 if chance.random() < 0.004 else 1
                    for rank, mean in enumerate(told["mean_seconds"]):
                        seconds = mean * common * chance.lognormvariate(0, 0.006)
                        if rank == 5 and 20 < step < 28:
                            seconds *= 1.12
                        line = {
                            "launch": launch["number"],
                            "rank": rank,
                            "host": launch["hosts"][rank],
                            "mode": mode,
                            "step": step,
                            "step_seconds": round(seconds, 6),
                            "samples": recipe.batch,
                            "warmup": step < 5,
                        }
                        file.write(json.dumps(line, separators=(",", ":")) + "\n")


def write_results(directory: Any, recipe: Recipe) -> dict[str, Any]:
    """Write a directory of results and return the result."""
    directory.mkdir(parents=True, exist_ok=True)
    result = result_of(recipe)
    (directory / "result.json").write_text(json.dumps(result), encoding="utf-8")
    if result["comm"]:
        (directory / "comm.json").write_text(json.dumps(result["comm"]), encoding="utf-8")
    if recipe.steps:
        write_steps(directory / "steps.jsonl", recipe, result)
    return result
