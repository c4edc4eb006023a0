from dataclasses import replace

import pytest
from nvml import hand_made
from nvml.fake_nvml import FakeNvml

from mpijob_runtime.facts import GpuHostFacts
from mpijob_runtime.gpu_differences import find_gpu_differences, format_gpu_differences
from mpijob_runtime.probes.gpu import probe_gpus


def probe(make):
    """Return the facts of a hand-made host."""
    return probe_gpus(FakeNvml(make()))


@pytest.fixture
def hosts():
    """Return eight equal hosts with eight GPUs each."""
    facts = probe(hand_made.with_nvswitch)
    return {f"job-worker-{n}.job.ns.svc": facts for n in range(8)}


def test_equal_hosts_are_no_difference(hosts):
    """Nothing to say, and no table."""
    assert find_gpu_differences(hosts) == {}
    assert format_gpu_differences({}) == ""
    assert find_gpu_differences({}) == {}


def test_uuids_and_places_on_the_bus_are_no_differences(hosts):
    """They differ on every host."""
    facts = hosts["job-worker-3.job.ns.svc"]
    gpus = tuple(replace(g, uuid="GPU-x", pci_bus_id="0000:ff:00.0") for g in facts.gpus)
    assert find_gpu_differences(hosts | {"w9": replace(facts, gpus=gpus)}) == {}


def test_a_lost_gpu_and_another_driver_are_shown(hosts):
    """As people read it: what is usual, then who is different."""
    lost = replace(probe(hand_made.with_lost_gpus), driver_version="570.86.15")
    hosts |= {"job-worker-6.job.ns.svc": lost}
    expected = """\
hosts differ in their GPUs:
  GPUs                 job-worker-0, job-worker-1 … and 5 more 8
                       job-worker-6                            6
  GPU names            job-worker-0, job-worker-1 … and 5 more 8 x NVIDIA H100 80GB HBM3
                       job-worker-6                            6 x NVIDIA H100 80GB HBM3
  GPU memory           job-worker-0, job-worker-1 … and 5 more 8 x 80.0 GiB
                       job-worker-6                            6 x 80.0 GiB
  links                job-worker-0, job-worker-1 … and 5 more 28 x NV18
                       job-worker-6                            15 x NV18
  driver               job-worker-0, job-worker-1 … and 5 more 580.95.05
                       job-worker-6                            570.86.15"""
    assert format_gpu_differences(find_gpu_differences(hosts)) == expected


@pytest.mark.parametrize(
    ("make", "labels"),
    [
        (hand_made.with_bridges, {"GPUs", "GPU names", "GPU memory", "links"}),
        (lambda: hand_made.host(8), {"links"}),
        (lambda: hand_made.with_nvswitch(links=17), {"links"}),
    ],
    ids=["fewer", "no NVLink", "a link is down"],
)
def test_what_differs_is_named(make, labels, hosts):
    """Only that."""
    assert find_gpu_differences(hosts | {"w9": probe(make)}).keys() == labels


def test_mig_and_no_gpu_are_differences():
    """A host without any is as different as can be."""
    plain, parts = probe(lambda: hand_made.host(2)), probe(hand_made.with_mig)
    found = find_gpu_differences({"w0": plain, "w1": parts})
    assert found == {"MIG instances": {"none": ["w0"], "1 x 1g.10gb, 1 x 3g.40gb": ["w1"]}}
    found = find_gpu_differences({"w0": plain, "w1": GpuHostFacts()})
    assert found["GPUs"] == {"2": ["w0"], "0": ["w1"]}
    assert found["driver"] == {"580.95.05": ["w0"], "none": ["w1"]}
