import json
from dataclasses import replace
from pathlib import Path

import pynvml
import pytest
from nvml import hand_made
from nvml.fake_nvml import FakeNvml

from mpijob_runtime.fact_json import facts_from_json, facts_to_json
from mpijob_runtime.facts import GpuHostFacts, GpuLink, MigInstance
from mpijob_runtime.probes.gpu import probe_gpus
from mpijob_runtime.probes.pci import PciTree

HAND_MADE = [
    hand_made.with_nvswitch,
    hand_made.with_bridges,
    hand_made.with_mig,
    hand_made.with_lost_gpus,
    hand_made.with_troubles,
    hand_made.with_old_driver,
    hand_made.without_driver,
    hand_made.with_replaced_driver,
]
RECORDED = sorted((Path(__file__).parent.parent / "nvml" / "recorded").glob("*.json"))


@pytest.fixture
def probe(tmp_path):
    """Return a function from a table of answers to facts, on a machine without a PCI bus."""

    def run(answers):
        fake = FakeNvml(answers)
        facts = probe_gpus(fake, PciTree(str(tmp_path)))
        assert fake.open == 0, "nvmlInit without nvmlShutdown"
        return facts

    return run


@pytest.mark.parametrize("make", HAND_MADE, ids=lambda make: make.__name__)
def test_facts_of_every_hand_made_host_survive_the_way_to_the_launcher(make, probe):
    """What a worker sends is what the launcher has."""
    facts = probe(make())
    assert facts_from_json(GpuHostFacts, json.loads(json.dumps(facts_to_json(facts)))) == facts


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_host_gives_the_facts_that_it_gave(path, probe):
    """tests/gpu records answers together with the facts that were made of them."""
    recorded = json.loads(path.read_text())
    facts = facts_to_json(probe(recorded["answers"]))
    for machine in ("nics", "allowed_cpus"):
        recorded["facts"].pop(machine)
        facts.pop(machine)
    for gpu, was in zip(facts["gpus"], recorded["facts"]["gpus"], strict=True):
        gpu["numa_node"] = was["numa_node"]
    assert json.loads(json.dumps(facts)) == recorded["facts"]


def test_eight_gpus_with_nvswitch(probe):
    """Each reaches each other by all 18 links."""
    facts = probe(hand_made.with_nvswitch())
    assert (facts.driver_version, facts.cuda_version, facts.errors) == ("580.95.05", "13.0", ())
    assert len(facts.gpus) == 8
    assert len(facts.links) == 28
    assert {(link.level, link.nvlink_generation) for link in facts.links} == {("NV18", 4)}


def test_a_healthy_gpu_tells_all(probe):
    """Every fact of an H100 has its field."""
    gpu = probe(hand_made.host(4)).gpus[3]
    assert (gpu.index, gpu.fault, gpu.name) == (3, None, "NVIDIA H100 80GB HBM3")
    assert gpu.uuid == "GPU-00000000-0000-0000-0000-000000000003"
    assert (gpu.pci_bus_id, gpu.memory_bytes) == ("0000:4b:00.0", 80 << 30)
    assert gpu.cpus == tuple(range(32, 64))
    assert (gpu.mig_enabled, gpu.mig_instances) == (False, ())
    assert (gpu.ecc_volatile_uncorrected, gpu.ecc_aggregate_uncorrected) == (0, 0)
    assert (gpu.recovery_action, gpu.throttle_reasons) == (None, ())
    assert (gpu.compute_mode, gpu.persistence) == ("default", True)


def test_gpus_without_nvlink_have_their_pcie_level(probe):
    """Two and two on a NUMA node each."""
    levels = {(k.first, k.second): k.level for k in probe(hand_made.host(4)).links}
    assert levels[0, 1] == levels[2, 3] == "NODE"
    assert {levels[pair] for pair in ((0, 2), (0, 3), (1, 2), (1, 3))} == {"SYS"}


def test_direct_nvlinks_are_counted_by_pair(probe):
    """A link that is down is none; pairs without one have their PCIe level."""
    links = probe(hand_made.with_bridges()).links
    assert links[0] == GpuLink(0, 1, "NV12", 4)
    assert links[-1] == GpuLink(2, 3, "NV11", 4)
    assert {link.level for link in links[1:-1]} == {"SYS"}


def test_mig_instances_are_found_in_their_places(probe):
    """Places without an instance are no errors."""
    facts = probe(hand_made.with_mig())
    parts = facts.gpus[0].mig_instances
    uuids = [f"MIG-00000000-0000-0000-0000-00000000000{place}" for place in (0, 4)]
    assert parts == (
        MigInstance(uuids[0], "3g.40gb", 40 << 30),
        MigInstance(uuids[1], "1g.10gb", 10 << 30),
    )
    assert (facts.gpus[0].mig_enabled, facts.gpus[1].mig_enabled) == (True, False)
    assert facts.errors == ()


def test_a_gpu_that_fell_off_the_bus_is_named_and_the_others_are_read(probe):
    """Six of eight remain, with their links; a lost one is asked no more."""
    facts = probe(hand_made.with_lost_gpus())
    faults = {gpu.index: gpu.fault for gpu in facts.gpus if gpu.fault}
    assert faults == {
        3: "fell off the bus (GPU is lost)",
        5: "cannot be opened (Unknown Error)",
    }
    assert len(facts.links) == 15
    assert facts.errors == ()


def test_troubles_are_facts(probe):
    """Heat, errors in memory, a wish of the driver, and what may not be asked."""
    facts = probe(hand_made.with_troubles())
    gpu = facts.gpus[0]
    assert gpu.throttle_reasons == ("sw_thermal_slowdown", "hw_thermal_slowdown")
    assert (gpu.ecc_volatile_uncorrected, gpu.ecc_aggregate_uncorrected) == (2, 9)
    assert (gpu.recovery_action, gpu.compute_mode) == ("reset the GPU", "prohibited")
    assert gpu.persistence is None
    assert facts.errors == ("nvmlDeviceGetPersistenceMode of GPU 0: Insufficient Permissions",)


def test_an_old_driver_tells_what_it_knows(probe):
    """Bytes are texts, an older name of a function does, and what is missing is said once."""
    facts = probe(hand_made.with_old_driver())
    gpu = facts.gpus[1]
    assert (facts.driver_version, facts.cuda_version) == ("418.226.00", "10.1")
    assert (gpu.name, gpu.uuid, gpu.mig_enabled) == ("Tesla V100-SXM2-16GB", "GPU-1", None)
    assert gpu.throttle_reasons == ("sw_power_cap",)
    assert facts.links == (GpuLink(0, 1, "NV6", 2),)
    assert len(facts.errors) == 1
    for name in ("MigMode", "FieldValues", "CurrentClocksEventReasons", "NvLinkRemoteDeviceType"):
        assert facts.errors[0].count(f"nvmlDeviceGet{name}") == 1


def test_without_a_driver_there_are_no_gpus_and_no_error(probe):
    """Absence is a fact."""
    facts = probe(hand_made.without_driver())
    assert replace(facts, allowed_cpus=()) == GpuHostFacts()


def test_a_replaced_driver_is_explained(probe):
    """Library and kernel module differ: nothing can be read, and a remedy is told."""
    facts = probe(hand_made.with_replaced_driver())
    assert facts.gpus == ()
    assert len(facts.errors) == 1
    assert "mismatch" in facts.errors[0]
    assert "restart the pod" in facts.errors[0]


def test_a_binding_without_a_function_is_as_an_old_driver(probe, monkeypatch):
    """An older nvidia-ml-py lacks names, and constants as well."""
    monkeypatch.delattr(pynvml, "nvmlDeviceGetMigMode")
    monkeypatch.delattr(pynvml, "NVML_FI_DEV_GET_GPU_RECOVERY_ACTION")
    facts = probe(hand_made.host(1))
    assert (facts.gpus[0].mig_enabled, facts.gpus[0].recovery_action) == (None, None)
    assert facts.errors == ("this driver does not know nvmlDeviceGetMigMode",)


@pytest.mark.parametrize("code", [1, 4, 10, 15, 18, 999, 12345])
def test_any_error_of_any_call_leaves_facts(code, probe):
    """Each answer in turn is an error; the rest is read, and nothing is raised."""
    table = hand_made.with_mig()
    for call in table:
        facts = probe(table | {call: {"error": code}})
        assert facts.gpus or facts.errors or call in ("nvmlInit", "nvmlDeviceGetCount")


def test_without_a_library_pynvml_itself_is_asked_here():
    """The real binding; on a machine with GPUs tests/gpu has more."""
    facts = probe_gpus()
    assert isinstance(facts, GpuHostFacts)
    assert facts.allowed_cpus
