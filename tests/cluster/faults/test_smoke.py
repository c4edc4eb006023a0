"""One fault of each class, once; ``make faults`` does all of them, many times."""

import os

import pytest

from faults.catalogue import FAULTS, SMOKE
from faults.trial import Bench, Case, Trial
from mpijob_local.settings import LocalSettings

pytestmark = pytest.mark.cluster

BY_NAME = {fault.name: fault for fault in FAULTS}


@pytest.mark.parametrize("name", SMOKE)
def test_a_fault_ends_a_job_as_it_should(name, open_mpi, image, podman, tmp_path):
    """Code, outcome, the name of the guilty, the time, and nothing left."""
    home = LocalSettings.from_environ(os.environ).home
    bench = Bench(podman, home, tmp_path, {open_mpi: image})

    result = Trial(Case(BY_NAME[name], open_mpi, bare=False, run=0), bench).run()

    assert not result.wrong, (result.wrong, result.verdict, result.printed)


def test_the_smoke_has_a_fault_of_each_class():
    """A new class cannot be left out of make test."""
    assert {BY_NAME[name].kind for name in SMOKE} == {fault.kind for fault in FAULTS}
