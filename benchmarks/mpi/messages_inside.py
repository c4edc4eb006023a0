"""Runs inside the launcher's pod: messages under bare mpirun and under launch, in pairs.

Prints one JSON object a line: {"case", "name", "value"}.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence

PROGRAM = "/home/mpiuser/messages"
KEY = "/tmp/key"
SSH = (
    f"ssh -F none -p 2222 -i {KEY} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    " -o LogLevel=ERROR"
)
SECONDS = 60
ONE, TWO, CROWD = "two ranks, one host", "two ranks, two hosts", "8 ranks a host, two hosts"
CASES = (
    (ONE, "latency", 8, 400_000),
    (ONE, "bandwidth", 65536, 3_000),
    (ONE, "allreduce", 8, 400_000),
    (TWO, "latency", 8, 30_000),
    (TWO, "bandwidth", 65536, 500),
    (TWO, "allreduce", 8, 50_000),
    (CROWD, "latency", 8, 1_000),
    (CROWD, "bandwidth", 65536, 20),
    (CROWD, "allreduce", 8, 300),
)


def main() -> None:
    """Measure each case as often as the first argument says, in the order ABBA."""
    rounds, wanted = int(sys.argv[1]), sys.argv[2]
    subprocess.run(("mpijob-runtime", "wait", "--quiet"), check=True)
    shutil.copyfile(os.path.expanduser("~/.ssh/id_rsa"), KEY)
    os.chmod(KEY, 0o600)
    with open("/etc/mpi/hostfile", encoding="ascii") as file:
        workers = [line.split()[0] for line in file if line.strip()]
    for layout, kind, size, times in CASES:
        if not re.search(wanted, f"{layout}, {kind}"):
            continue
        ranks = {ONE: {workers[0]: 2}, TWO: dict.fromkeys(workers, 1)}
        hosts = ranks.get(layout, dict.fromkeys(workers, 8))
        program = (PROGRAM, kind, str(size), str(times))
        for number in range(rounds):
            pair = [("bare", bare(hosts, program)), ("ours", ours(hosts, program))]
            for name, argv in pair if number % 2 == 0 else reversed(pair):
                value = measure(argv, environ(name, sum(hosts.values())))
                case = f"{layout}: {kind}, {size} bytes"
                print(json.dumps({"case": case, "name": name, "value": value}), flush=True)


def bare(hosts: Mapping[str, int], program: Sequence[str]) -> Sequence[str]:
    """Return mpirun as it is.

    With several hosts it binds nothing: they are containers of one machine here, and each would
    have its ranks on the machine's first core.
    """
    binding = ("--bind-to", "none") if len(hosts) > 1 else ()
    ranks = str(sum(hosts.values()))
    return ("mpirun", "-H", spelled(hosts), "-n", ranks, "--map-by", "slot", *binding, *program)


def ours(hosts: Mapping[str, int], program: Sequence[str]) -> Sequence[str]:
    """Return the same under launch."""
    options = ("--quiet", "--output", "plain", "--host", spelled(hosts))
    return ("mpijob-runtime", "launch", *options, "--", *program)


def spelled(hosts: Mapping[str, int]) -> str:
    """Return hosts as both take them."""
    return ",".join(f"{host}:{ranks}" for host, ranks in hosts.items())


def environ(name: str, ranks: int) -> Mapping[str, str]:
    """Return the launcher's environment; all ranks wait in the same way.

    mpijob-local asks for it in the pods of a job with more slots than cores, where bare mpirun,
    whose ranks do not see their container's variables, would not hear of it.
    """
    crowded = ranks > len(os.sched_getaffinity(0))
    changes = {"OMPI_MCA_mpi_yield_when_idle": str(int(crowded))}
    if name == "bare":
        changes |= {"MPIJOB_SHIM": "off", "OMPI_MCA_plm_rsh_agent": SSH}
        changes |= {"PRTE_MCA_plm_ssh_agent": SSH, "OMPI_MCA_orte_keep_fqdn_hostnames": "true"}
    kept = {k: v for k, v in os.environ.items() if k != "OMPI_MCA_orte_default_hostfile"}
    return kept | changes


def measure(argv: Sequence[str], environ: Mapping[str, str]) -> float:
    """Return the program's number; a run that hangs or fails is told and repeated."""
    while True:
        try:
            done = subprocess.run(
                argv, env=environ, capture_output=True, text=True, timeout=SECONDS, check=True
            )
        except subprocess.SubprocessError as error:
            print(f"repeated: {shlex.join(argv[:2])}: {error}", file=sys.stderr)
            continue
        return float(done.stdout.split()[-1])


main()
