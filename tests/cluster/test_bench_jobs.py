"""mpijob-bench in whole jobs: the emulation on two nodes, and the manifest for a cluster."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from engines import existing_image

from mpijob_bench.explanation import explain
from mpijob_bench.record import Record
from mpijob_bench.result import read_result

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

MANIFEST = Path(__file__).parents[2] / "examples" / "bench" / "mpijob-cpu.yaml"
TINY = ("--size", "image=32", "--size", "width=8", "--batch", "2")
SHORT = ("--pairs", "1", "--curve", "", "--warmup", "2", "--steps", "6", "--ablation-steps", "4")
EMULATE = (
    *("emulate", "--nodes", "2", "--network", "100gbit", "--time-scale", "2", "--double-pairs"),
    *("0", *SHORT),
)


def bench(*arguments):
    """Start mpijob-bench as a user does."""
    argv = (sys.executable, "-m", "mpijob_bench", *arguments)
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def attempts(out):
    """Return key and status of each attempt so far."""
    if not (out / "launches.jsonl").exists():
        return []
    return [(launch["key"], launch["status"]) for launch in Record(out).launches()]


def pods():
    """Return what mpijob-local says of jobs of this name."""
    argv = (sys.executable, "-m", "mpijob_local", "ps")
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if "bench-emulated" in line]


def test_an_interrupted_emulation_goes_on(podman, tmp_path):
    """Ctrl-C in a launch of a pair: nothing is left; the same command does the rest."""
    existing_image(podman, "mpijob-runtime:torch-ompi4.1")
    out = tmp_path / "results"
    first = bench(*EMULATE, "--out", str(out))
    deadline = time.monotonic() + 200
    while ("pair-0-alone", "interrupted") not in attempts(out):
        assert first.poll() is None, first.communicate()[0]
        assert time.monotonic() < deadline, attempts(out)
        time.sleep(0.2)
    first.send_signal(signal.SIGINT)
    text, _ = first.communicate(timeout=90)
    assert first.returncode == 130, text
    assert pods() == []
    done_before = [key for key, status in attempts(out) if status == "ok"]

    second = bench(*EMULATE, "--out", str(out))
    text, _ = second.communicate(timeout=400)

    assert second.returncode == 4, text
    assert "EMULATED-INVALID" in text
    states = attempts(out)
    assert [status for key, status in states if key == "pair-0-alone"] == ["interrupted", "ok"]
    assert [key for key, _ in states if key in done_before] == done_before
    result = read_result(str(out / "result.json"))
    assert result["fidelity"] == "emulated"
    assert result["transport"]["observed"] == "tcp"
    assert 0.5 < result["pairs"][0]["together"] / sum(result["pairs"][0]["alone"]) < 1.02
    assert (out / "report.html").exists()


def test_injected_faults_show_where_they_should(podman, tmp_path):
    """A node that is 40 % slower is load balance, and one wrong element is a FAIL."""
    existing_image(podman, "mpijob-runtime:torch-ompi4.1")
    out = tmp_path / "results"
    faults = ("slow_rank=1", "slow_share=0.4", "wrong_elements=1")
    options = [part for fault in faults for part in ("--inject", fault)]
    job = bench(*EMULATE, *options, "--out", str(out))
    text, _ = job.communicate(timeout=400)

    assert job.returncode == 1, text
    assert "EMULATED-FAIL: wrong elements in collectives" in text
    result = read_result(str(out / "result.json"))
    terms = {term.name: term for term in explain(result).attribution.terms}
    # 2 / 1.4 samples together against 1 + 1 / 1.4 alone
    assert terms["balance"].factor == pytest.approx((2 / 1.4) / (1 + 1 / 1.4), abs=0.03)
    assert max(terms.values(), key=lambda term: term.points).name == "balance"
    assert result["wrong_elements"] == 2, "one in the launch alone, one together"


def test_horovod_is_emulated_as_well(podman, tmp_path):
    """With its Gloo controller, by its DistributedOptimizer; sums are right."""
    existing_image(podman, "mpijob-runtime:horovod-ompi4.1")
    out = tmp_path / "results"
    job = bench(*EMULATE, "--framework", "horovod", "--out", str(out))
    text, _ = job.communicate(timeout=400)

    result = read_result(str(out / "result.json"))
    assert result["pairs"][0]["status"] == "ok", text
    assert result["wrong_elements"] == 0
    assert result["transport"]["observed"] == "tcp"
    assert job.returncode == 4, text


def test_the_manifest_for_a_cluster_runs_here(podman, tmp_path):
    """examples/bench/mpijob-cpu.yaml with two workers and a small plan, as in the docs."""
    existing_image(podman, "mpijob-runtime:torch-ompi4.1")
    out = tmp_path / "results"
    out.mkdir()
    out.chmod(0o777)
    plan = bench(
        *("plan", "--nodes", "2", *SHORT, "--warmup-seconds", "0", *TINY),
        *("--out", str(out / "plan.json")),
    )
    text, _ = plan.communicate()
    assert plan.returncode == 0, text
    options = ("--ignore", "affinity", "--workers", "2", "--claim", f"bench-results={out}")
    argv = (sys.executable, "-m", "mpijob_local", "run", *options, str(MANIFEST))
    done = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert done.returncode == 4, done.stdout + done.stderr
    result = read_result(str(out / "result.json"))
    assert result["fidelity"] == "measured"
    assert result["pairs"][0]["status"] == "ok"
    assert json.loads((out / "comm.json").read_text(encoding="utf-8"))["ranks"] == 2
