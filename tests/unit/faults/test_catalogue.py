import json

import pytest
from faults.catalogue import FAULTS
from faults.layout import make_job

from mpijob_local.layout import lay_out
from mpijob_local.manifest import load_manifest

# A host's name is a label of DNS, and pids have up to seven digits.
LONGEST_NAME = 63 - len("fault--1234567-worker-7")


def test_every_fault_has_a_name_of_its_own_that_fits_into_a_host_name():
    """Names are options, parts of host names, and keys of the results."""
    names = [fault.name for fault in FAULTS]

    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= LONGEST_NAME


@pytest.mark.parametrize("bare", [False, True], ids=["ours", "bare"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_job_is_one_that_a_cluster_would_take(fault, bare, tmp_path):
    """The manifest is valid, and the attempts are those that the fault needs."""
    job = make_job(fault, name=f"fault-{fault.name}-1", image="image", bare=bare)
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps(job.manifest()))

    layout = lay_out(load_manifest(str(path)).job)

    assert layout.ranks == len(layout.workers) == fault.shape.workers
    assert layout.launcher.restarts == (fault.shape.attempts > 1)
    variables = {variable.name for variable in layout.launcher.env}
    assert ("MPIJOB_SHIM" in variables) == bare
    assert "MPIJOB_SHIM" not in {variable.name for variable in layout.workers[0].env}
