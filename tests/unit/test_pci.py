import pytest

from mpijob_runtime.facts import NicFacts
from mpijob_runtime.probes.pci import PciTree

# A machine: two NUMA nodes; on the first a host bridge with two switches, one below the other, and
# a second host bridge; each line is a device's way, its node, its class.
DEVICES = {
    "gpu0": ("pci0000:10/0000:10:01.0/0000:11:00.0/0000:12:00.0/0000:13:00.0", 0),
    "nic0": ("pci0000:10/0000:10:01.0/0000:11:00.0/0000:12:01.0/0000:14:00.0", 0),
    "nic1": (
        "pci0000:10/0000:10:01.0/0000:11:00.0/0000:12:02.0/0000:15:00.0/0000:16:00.0/0000:17:00.0",
        0,
    ),
    "nic2": ("pci0000:10/0000:10:03.0/0000:18:00.0", 0),
    "nic3": ("pci0000:20/0000:20:01.0/0000:21:00.0", 0),
    "nic4": ("pci0000:80/0000:80:01.0/0000:81:00.0", 1),
}


def address(name):
    """Return a device's place on the bus."""
    return DEVICES[name][0].rpartition("/")[2]


@pytest.fixture
def tree(tmp_path):
    """Return that machine's PCI bus, with links as the kernel makes them."""
    bus = tmp_path / "bus/pci/devices"
    bus.mkdir(parents=True)
    for group in ("infiniband", "net"):
        (tmp_path / "class" / group).mkdir(parents=True)
    for name, (way, node) in DEVICES.items():
        device = tmp_path / "devices" / way
        device.mkdir(parents=True, exist_ok=True)
        (device / "numa_node").write_text(f"{node}\n")
        (device / "local_cpulist").write_text("0-3,8-11\n" if node == 0 else "4-7\n")
        (device / "class").write_text("0x030200\n" if name == "gpu0" else "0x068000\n")
        (bus / address(name)).symlink_to(device)
    for group, interface, name in (("infiniband", "mlx5_0", "nic0"), ("net", "ib0", "nic4")):
        entry = tmp_path / "class" / group / interface
        entry.mkdir()
        (entry / "device").symlink_to(tmp_path / "devices" / DEVICES[name][0])
    (tmp_path / "class/net/lo").mkdir()
    virtual = tmp_path / "devices" / DEVICES["nic3"][0] / "virtio2"
    virtual.mkdir()
    (tmp_path / "class/net/eth0").mkdir()
    (tmp_path / "class/net/eth0/device").symlink_to(virtual)
    return PciTree(str(tmp_path))


@pytest.mark.parametrize(
    ("nic", "level"),
    [("nic0", "PIX"), ("nic1", "PXB"), ("nic2", "PHB"), ("nic3", "NODE"), ("nic4", "SYS")],
)
def test_distances_are_those_of_nvidia_smi(nic, level, tree):
    """One switch, several, the host bridge, the NUMA node, the whole machine."""
    assert tree.level(address("gpu0"), address(nic)) == level
    assert tree.level(address(nic), address("gpu0")) == level


def test_a_device_that_is_not_there_has_no_distance(tree):
    """A GPU that fell off, or a bus that the container does not see."""
    assert tree.level("0000:ff:00.0", address("gpu0")) == ""
    assert tree.numa_node("0000:ff:00.0") is None
    assert tree.near_cpus("0000:ff:00.0") == ()


def test_node_processors_and_class(tree):
    """As the kernel tells them."""
    assert (tree.numa_node(address("gpu0")), tree.numa_node(address("nic4"))) == (0, 1)
    assert tree.near_cpus(address("gpu0")) == (0, 1, 2, 3, 8, 9, 10, 11)
    assert tree.is_switch(address("nic0"))
    assert not tree.is_switch(address("gpu0"))


def test_a_machine_without_numa_has_no_node(tree, tmp_path):
    """The kernel writes -1 there."""
    (tmp_path / "devices" / DEVICES["gpu0"][0] / "numa_node").write_text("-1\n")
    assert tree.numa_node(address("gpu0")) is None


def test_network_and_rdma_devices_have_a_level_for_each_gpu(tree):
    """Loopback is on no bus; a virtual device counts for the one that it sits on."""
    assert tree.find_nics([address("gpu0"), None]) == (
        NicFacts("mlx5_0", True, address("nic0"), 0, ("PIX", "")),  # noqa: FBT003
        NicFacts("eth0", False, address("nic3"), 0, ("NODE", "")),  # noqa: FBT003
        NicFacts("ib0", False, address("nic4"), 1, ("SYS", "")),  # noqa: FBT003
    )


def test_this_machine_can_be_read():
    """The real /sys, whatever it has."""
    for nic in PciTree().find_nics([]):
        assert nic.pci_bus_id.count(":") == 2
        assert PciTree().level(nic.pci_bus_id, nic.pci_bus_id) == "PIX"
