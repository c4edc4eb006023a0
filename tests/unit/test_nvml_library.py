"""The real pynvml on a hand-made C library: handles, structures and missing functions of ctypes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from nvml.fake_nvml import FakeNvml

from mpijob_runtime.fact_json import facts_from_json, facts_to_json
from mpijob_runtime.facts import GpuHostFacts
from mpijob_runtime.gpu_driver import ARGV
from mpijob_runtime.probes.gpu import probe_gpus

TESTS = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def environ(tmp_path_factory):
    """Return an environment in which that library is NVML."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc here")
    folder = tmp_path_factory.mktemp("nvml")
    library = folder / "libnvidia-ml.so.1"
    source = TESTS / "nvml" / "library.c"
    subprocess.run(("gcc", "-shared", "-fPIC", str(source), "-o", str(library)), check=True)
    return os.environ | {"LD_LIBRARY_PATH": str(folder), "PYTHONPATH": str(TESTS)}


def test_the_real_binding_is_understood(environ):
    """One GPU works, one is lost while it is asked, one cannot be opened."""
    printed = subprocess.run(ARGV, env=environ, capture_output=True, check=True, timeout=120)
    facts = facts_from_json(GpuHostFacts, json.loads(printed.stdout))
    assert (facts.driver_version, facts.cuda_version) == ("999.1", "12.8")
    works, lost, shut = facts.gpus
    assert (works.name, works.fault, works.memory_bytes) == ("Fake 0", None, 1 << 36)
    assert (works.pci_bus_id, works.cpus) == ("10000:ab:00.0", (64, 127))
    assert (works.ecc_volatile_uncorrected, works.ecc_aggregate_uncorrected) == (10, 11)
    assert (works.mig_enabled, works.recovery_action) == (False, "reboot the node")
    assert (lost.name, lost.fault) == ("Fake 1", "fell off the bus (GPU is lost)")
    assert shut.fault == "cannot be opened (Unknown Error)"
    (error,) = facts.errors
    assert error.startswith("this driver does not know nvmlDeviceGetUUID, ")
    assert "NvLink" not in error


def test_what_is_recorded_of_it_plays_the_same(environ, tmp_path):
    """As it would be on a machine with GPUs."""
    argv = (sys.executable, "-m", "nvml.record", "fake", "--folder", str(tmp_path))
    subprocess.run(argv, env=environ, check=True, timeout=120)
    recorded = json.loads((tmp_path / "fake.json").read_text())
    played = json.loads(json.dumps(facts_to_json(probe_gpus(FakeNvml(recorded["answers"])))))
    assert played == recorded["facts"]
    assert len(played["gpus"]) == 3
