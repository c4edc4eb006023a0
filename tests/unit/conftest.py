"""Builders of plain data for the unit tests."""

import pytest

from mpijob_runtime.facts import Facts, KeyFacts, MpiFacts, SystemFacts, UserFacts
from mpijob_runtime.records import RankRecord
from mpijob_runtime.settings import Flags, Settings

SYSTEM = {
    "hostname": "pi-launcher",
    "cpus": 2,
    "memory_limit_bytes": None,
    "capabilities": frozenset(),
    "no_new_privileges": True,
    "ptrace_scope": 0,
    "rdma_devices": (),
    "writable_tmp": True,
}
USER = {"uid": 1000, "gid": 1000, "name": "mpiuser", "home": "/home/mpiuser", "shell": "/bin/sh"}


@pytest.fixture
def make_facts():
    """Return a builder of facts; keywords replace single facts of the system or the user."""

    def build(*, version="4.1.4", wrapper="/usr/local/lib/mpijob/rank", **changes):
        system = SYSTEM | {k: v for k, v in changes.items() if k in SYSTEM}
        user = USER | {k: v for k, v in changes.items() if k in USER}
        unknown = changes.keys() - system.keys() - user.keys()
        assert not unknown
        return Facts(
            system=SystemFacts(**system),
            user=UserFacts(**user),
            key=KeyFacts("/home/mpiuser/.ssh/id_rsa", "/home/mpiuser/.ssh", 0, 0o644, True),  # noqa: FBT003
            mpi=MpiFacts("Open MPI", version, "/usr/bin/mpirun") if version else None,
            rank_wrapper=wrapper,
        )

    return build


@pytest.fixture
def make_settings():
    """Return a builder of settings from an environment and flags."""

    def build(environ=None, *, hostfile_exists=False, **flags):
        return Settings.from_environ(
            environ or {}, flags=Flags(**flags), hostfile_exists=hostfile_exists
        )

    return build


@pytest.fixture
def make_record():
    """Return a builder of rank records of a job with four ranks."""

    def build(event, rank, *, at=0.0, **more):
        host = more.pop("host", f"w{rank}")
        return RankRecord(
            event=event,
            rank=rank,
            world_size=more.pop("world_size", 4),
            host=host,
            boot_id="b",
            time_seconds=1000.0 + at,
            **more,
        )

    return build
