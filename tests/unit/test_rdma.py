import pytest

from mpijob_runtime.rdma import list_directory, list_rdma_devices


@pytest.fixture
def make_device(tmp_path):
    """Return a function that makes a device as /sys shows it, hand-made; nodes are in /dev's."""
    devices, nodes = tmp_path / "sys", tmp_path / "dev"
    nodes.mkdir()

    def make(name, *, driver="mlx5_core", layer=None, state="4: ACTIVE", node=None):
        device = devices / name / "device"
        (device / "infiniband_verbs" / f"uverbs-{name}").mkdir(parents=True)
        (tmp_path / "drivers" / driver).mkdir(parents=True, exist_ok=True)
        (device / "driver").symlink_to(tmp_path / "drivers" / driver)
        port = devices / name / "ports" / "1"
        port.mkdir(parents=True)
        (port / "state").write_text(f"{state}\n")
        (port / "rate").write_text("400 Gb/sec (4X NDR)\n")
        if layer:
            (port / "link_layer").write_text(f"{layer}\n")
        if node is not None:
            (nodes / f"uverbs-{name}").touch(mode=node)
        return list_rdma_devices(str(devices), str(nodes))

    return make


@pytest.mark.parametrize(
    ("driver", "layer", "kind"),
    [
        ("mlx5_core", "InfiniBand", "infiniband"),
        ("mlx5_core", "Ethernet", "roce"),
        ("efa", "Unspecified", "efa"),
        ("efa", None, "efa"),
        ("siw", None, "other"),
    ],
)
def test_the_kind_of_a_device_is_told(driver, layer, kind, make_device):
    """By its port's link layer; EFA's ports have none, so by the driver."""
    (device,) = make_device("mlx5_0", driver=driver, layer=layer)
    assert device["kind"] == kind


@pytest.mark.parametrize(("state", "expected"), [("4: ACTIVE", "ACTIVE"), ("1: DOWN", "DOWN")])
def test_state_and_rate_are_the_kernels_words(state, expected, make_device):
    """Without the number before the state."""
    (device,) = make_device("mlx5_0", layer="InfiniBand", state=state)
    assert (device["state"], device["rate"]) == (expected, "400 Gb/sec (4X NDR)")


@pytest.mark.parametrize(("node", "usable"), [(None, False), (0o666, True)])
def test_a_device_that_this_container_was_not_given_is_seen_and_not_usable(
    node, usable, make_device
):
    """/sys shows the machine's devices in every container; /dev decides."""
    (device,) = make_device("mlx5_0", layer="InfiniBand", node=node)
    assert device["usable"] is usable


def test_devices_come_in_the_order_of_their_names(make_device):
    """Each once."""
    make_device("mlx5_1")
    assert [device["name"] for device in make_device("mlx5_0")] == ["mlx5_0", "mlx5_1"]


def test_a_host_without_devices_has_none(tmp_path):
    """Absence is a fact."""
    assert list_rdma_devices(str(tmp_path / "no"), str(tmp_path)) == []
    assert list_directory(str(tmp_path / "no")) == []


def test_a_device_without_ports_is_told_with_what_it_has(tmp_path):
    """A driver may still be at work."""
    (tmp_path / "mlx5_0").mkdir()
    (device,) = list_rdma_devices(str(tmp_path), str(tmp_path))
    assert device == {"name": "mlx5_0", "kind": "other", "state": "", "rate": "", "usable": False}
