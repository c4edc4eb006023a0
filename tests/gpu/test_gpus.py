"""NVML as it is: these tests run where a GPU is."""

import csv
import json
import shutil
import subprocess
import sys

import pytest
from nvml.fake_nvml import FakeNvml
from nvml.record import record

from mpijob_runtime.fact_json import facts_to_json
from mpijob_runtime.gpu_driver import has_driver
from mpijob_runtime.probes.gpu import probe_gpus
from mpijob_runtime.probes.gpu_child import probe_gpus_in_child
from mpijob_runtime.probes.nccl import probe_nccl
from mpijob_runtime.probes.nccl_maps import loaded_libraries

pytestmark = pytest.mark.skipif(not has_driver(), reason="no NVIDIA driver on this machine")


@pytest.fixture(scope="module")
def facts():
    """Return this machine's GPUs, asked once."""
    return probe_gpus()


@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no nvidia-smi here")
def test_nvidia_smi_tells_the_same(facts):
    """Another reader of the same driver: number, UUIDs, memory, places on the bus."""
    query = "--query-gpu=index,uuid,name,memory.total,pci.bus_id,driver_version"
    argv = ("nvidia-smi", query, "--format=csv,noheader,nounits")
    rows = csv.reader(subprocess.check_output(argv, text=True).splitlines(), skipinitialspace=True)
    told = [(int(i), u, n, int(m), b.lower()[-12:], d) for i, u, n, m, b, d in rows]
    ours = [
        (g.index, g.uuid, g.name, g.memory_bytes >> 20, g.pci_bus_id, facts.driver_version)
        for g in facts.gpus
    ]
    assert ours == told
    assert ours


def test_a_healthy_gpu_gives_all_facts(facts):
    """Nothing is refused, and nothing is missing."""
    assert facts.errors == ()
    for gpu in facts.gpus:
        assert (gpu.fault, gpu.recovery_action) == (None, None)
        assert gpu.cpus
        assert gpu.compute_mode
        assert gpu.mig_enabled is not None


def test_every_pair_has_a_link(facts):
    """NVLink or PCIe."""
    count = len(facts.gpus)
    assert len(facts.links) == count * (count - 1) // 2


def test_the_child_tells_the_same(facts):
    """What changes from one moment to the next is left out."""
    child = facts_to_json(probe_gpus_in_child(120.0))
    ours = facts_to_json(facts)
    for gpu in (*child["gpus"], *ours["gpus"]):
        gpu["throttle_reasons"] = ()
    assert json.loads(json.dumps(child)) == json.loads(json.dumps(ours))


def test_this_machine_can_be_recorded_and_played():
    """``python -m nvml.record NAME`` keeps it for machines without a GPU."""
    recorded = json.loads(json.dumps(record()))
    played = json.loads(json.dumps(facts_to_json(probe_gpus(FakeNvml(recorded["answers"])))))
    assert played["gpus"] == recorded["facts"]["gpus"]
    assert played["links"] == recorded["facts"]["links"]


def test_the_library_that_torch_loads_is_the_one_that_is_told():
    """Found beforehand, and seen in the running process."""
    pytest.importorskip("torch", reason="no torch here")
    code = "import os, torch; torch.cuda.nccl.version(); print('x', flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        child.stdout.readline()
        found = probe_nccl({"PATH": "/usr/bin:/bin"}, python=sys.executable)
        assert loaded_libraries(child.pid) == ((found.path,) if found else ())
    finally:
        child.communicate(b"\n")
