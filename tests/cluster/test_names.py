"""Whatever name, path or shell MPI is started by in a launcher, the ranks are on the workers."""

import shlex

import pytest
from jobs import Job, run_job

pytestmark = pytest.mark.cluster

NAMES = {
    "4.1": (
        *("/usr/bin/mpirun", "/usr/bin/orterun", "mpiexec.openmpi", "/usr/bin/oshrun", "shmemrun"),
        "/etc/alternatives/mpiexec",
    ),
    "5.0": ("/usr/bin/mpirun", "/opt/openmpi/bin/mpirun", "/opt/openmpi/bin/prterun", "prterun"),
}
SHELLS = (
    "bash -lc 'mpirun -n 2 hostname'",
    "env PATH=/usr/local/bin:/usr/bin:/bin bash -lc 'mpirun -n 2 hostname'",
    "env PATH=/usr/local/bin:/usr/bin:/bin mpirun -n 2 hostname",
    "env -i /usr/bin/mpirun -n 2 hostname",
    "env -i PATH=/usr/bin:/bin HOME=/home/mpiuser SHELL=/bin/sh sh -c 'mpirun -n 2 hostname'",
    "/tmp/line",
)
LINE = "printf '#!/usr/bin/env -S mpirun -n 2 sh -c hostname\\n' >/tmp/line; chmod +x /tmp/line\n"
PATH = "/added/bin:/opt/venv/bin:/usr/local/bin:/usr/bin:/bin"
FOUND = 'echo rank $PATH ${LD_LIBRARY_PATH-unset} $(bash -lc "command -v python3; echo \\$PATH")'


def test_every_way_to_start_mpi_reaches_the_workers(image, open_mpi, tmp_path):
    """Each line has one rank on each worker; what a rank finds by name is its container's."""
    lines = [*(f"{name} -n 2 hostname" for name in NAMES[open_mpi]), *SHELLS]
    asked = [
        f'out=$({line} </dev/null); echo "{n} $?" $(echo "$out" | sort)'
        for n, line in enumerate(lines)
    ]
    asked.append(f"env -i /usr/bin/mpirun -n 2 sh -c {shlex.quote(FOUND)}")
    asked.append(
        "MPIJOB_SHIM=off mpirun -n 1 --host localhost true; prte --daemonize; echo prte $?"
    )
    command = ("bash", "-c", LINE + "\n".join(asked))

    ended = run_job(Job("names", image, command, worker_env={"PATH": PATH}), tmp_path)

    for number, line in enumerate(lines):
        assert f"| {number} 0 names-worker-0 names-worker-1\n" in ended.text, line
    assert ended.text.count(f"| rank {PATH} unset /opt/venv/bin/python3 {PATH}\n") == 2
    assert "MPIJOB_SHIM=off: mpirun is the plain one" in ended.text
    assert ("| prte 64\n" if open_mpi == "5.0" else "| prte 127\n") in ended.text
