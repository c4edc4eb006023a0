import json
import subprocess
import sys

import pytest
from nvml import hand_made
from nvml.fake_nvml import FakeNvml

from mpijob_runtime import gpu_driver
from mpijob_runtime.fact_json import facts_to_json
from mpijob_runtime.facts import GpuHostFacts
from mpijob_runtime.gpu_driver import ARGV, has_driver
from mpijob_runtime.probes import gpu_child
from mpijob_runtime.probes.gpu import probe_gpus
from mpijob_runtime.probes.gpu_child import probe_gpus_in_child


def child(code):
    """Return the command of a child that does this."""
    return (sys.executable, "-c", code)


def test_the_real_child_answers_here():
    """With or without a driver: facts, and the processors of this process."""
    facts = probe_gpus_in_child(120.0, ARGV)
    assert isinstance(facts, GpuHostFacts)
    assert facts.allowed_cpus


def test_the_child_prints_one_line():
    """So that an agent can pass it on as it is."""
    printed = subprocess.run(ARGV, capture_output=True, check=True, timeout=120)
    assert printed.stdout.count(b"\n") == 1
    assert printed.stdout.endswith(b"}\n")
    assert printed.stderr == b""


def test_no_child_is_started_where_no_driver_is(monkeypatch):
    """A worker without GPUs pays nothing."""
    monkeypatch.setattr(gpu_driver, "_FILES", ("/nonexistent",))
    monkeypatch.setattr(gpu_child, "ARGV", ("/nonexistent",))
    facts = probe_gpus_in_child(60.0)
    assert not has_driver()
    assert (facts.gpus, facts.errors) == ((), ())
    assert facts.allowed_cpus
    monkeypatch.setattr(gpu_driver, "_FILES", ("/nonexistent", "/proc/self/stat"))
    assert has_driver()
    assert "could not be started" in probe_gpus_in_child(60.0).errors[0]


def test_what_a_child_prints_is_read(tmp_path):
    """A host with eight GPUs, as the child would print it."""
    facts = probe_gpus(FakeNvml(hand_made.with_nvswitch()))
    path = tmp_path / "line"
    path.write_text(json.dumps(facts_to_json(facts)))
    assert probe_gpus_in_child(60.0, ("cat", str(path))) == facts


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (child("import time; time.sleep(60)"), "did not answer within 0.5 s"),
        (child("import os; os.kill(os.getpid(), 11)"), "ended with -11: it printed nothing"),
        (child("1/0"), "ended with 1: ZeroDivisionError: division by zero"),
        (child("print('{}x')"), "ended with 0: Extra data"),
        (child("print('[' * 100_000)"), "ended with 0: "),
        (child("print('{\"gpus\": 3}')"), "GpuHostFacts.gpus: found 3, wanted a list"),
        (("/nonexistent",), "could not be started"),
    ],
    ids=["hangs", "crashes", "raises", "noise", "deep", "wrong", "missing"],
)
def test_a_child_that_gives_no_facts_is_an_error_in_words(argv, reason):
    """A driver that hangs or crashes costs a sentence, never the caller."""
    facts = probe_gpus_in_child(0.5 if "sleep" in argv[-1] else 60.0, argv)
    assert facts.gpus == ()
    assert len(facts.errors) == 1
    assert reason in facts.errors[0]
