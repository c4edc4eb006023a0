"""Who binds ranks to processors, in whole jobs of both Open MPIs."""

import os

import pytest
from jobs import Job, run_job

pytestmark = pytest.mark.cluster

SHOW = "import os; print('processors', len(os.sched_getaffinity(0)))"


@pytest.mark.skipif(
    len(os.sched_getaffinity(0)) == 1, reason="one processor: nothing to tell apart"
)
def test_the_users_mpirun_line_then_the_flag_then_the_gate_binds(image, tmp_path):
    """Two hosts of one rank each: a core where Open MPI is asked to bind, else all processors."""
    program = f'python3 -c "{SHOW}"'
    script = (
        f"mpijob-runtime launch -q --output plain -- {program} && "
        f"mpijob-runtime launch -q --output plain --bind-to core -- {program} && "
        f"mpirun -n 2 --bind-to core {program} && "
        f"MPIJOB_BIND_TO=core mpirun -n 2 --bind-to none {program}"
    )
    ended = run_job(Job("binding", image, ("bash", "-c", script)), tmp_path, "--quiet")

    assert ended.exit_code == 0, ended.text
    lines = [line for line in ended.stdout.splitlines() if line.startswith("processors")]
    found = [int(line.split()[1]) for line in lines]
    everything = len(os.sched_getaffinity(0))
    assert len(found) == 8, ended.text
    assert set(found[0:2]) == set(found[6:8]) == {everything}, ended.text
    assert max(found[2:6]) <= max(1, everything // 2), ended.text
