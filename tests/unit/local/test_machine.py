import tomllib
from dataclasses import replace

import pytest

from mpijob_local.machine import MachineFacts, settings_text

ORDINARY = MachineFacts(
    runtime="crun",
    has_runc=True,
    cgroup_version="v2",
    cgroup_manager="systemd",
    events_logger="journald",
    has_systemd=True,
    network_backend="netavark",
    has_netavark=True,
    raises_limits=True,
    nofile_hard=524288,
    nproc_hard=32768,
    rootless=True,
    selinux=False,
)


def test_ordinary_machines_keep_their_own_settings():
    """Nothing is set where podman works as it is."""
    assert settings_text(ORDINARY) == ""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"cgroup_version": "v1"}, {"engine": {"runtime": "runc"}}),
        ({"cgroup_version": "v1", "has_runc": False}, {}),
        ({"network_backend": "cni"}, {"network": {"network_backend": "netavark"}}),
        (
            {"has_systemd": False},
            {"engine": {"cgroup_manager": "cgroupfs", "events_logger": "file"}},
        ),
        (
            {"raises_limits": False, "nofile_hard": 20000},
            {
                "containers": {
                    "default_ulimits": ["nofile=20000:20000", "nproc=32768:32768"],
                }
            },
        ),
        ({"raises_limits": False, "nofile_hard": 1048576}, {}),
    ],
)
def test_settings(changes, expected):
    """Each peculiarity of a machine asks for its own setting and no other."""
    assert expected == tomllib.loads(settings_text(replace(ORDINARY, **changes)))
