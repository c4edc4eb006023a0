"""Runs inside the launcher's pod: times launch against bare mpirun, and the rank wrapper.

Prints one JSON object a line: {"name", "seconds"}.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

WRAPPER = "/usr/local/lib/mpijob/rank"
PRIVATE = f"/dev/shm/mpijob-{os.geteuid()}-{os.uname().nodename}"
HUNG_SECONDS = 30
LAUNCH = ("mpijob-runtime", "launch", "--quiet", "--report", "/tmp/report.json", "--", "true")


def main() -> None:
    """Measure as often as the first argument says, in the order ABBA."""
    rounds = int(sys.argv[1])
    subprocess.run(("mpijob-runtime", "wait", "--quiet"), check=True)
    argv, environ = bare_mpirun()
    for number in range(rounds):
        pair = [lambda: bare(argv, environ), launch]
        for measure in pair if number % 2 == 0 else reversed(pair):
            measure()
    for _ in range(rounds):
        emit("program started plainly", start_delay(("/bin/date", "+%s.%N")))
        emit("program started by the rank wrapper", start_delay((WRAPPER, "/bin/date", "+%s.%N")))
        emit("mpijob-runtime plan, a process of its own", timed(("mpijob-runtime", "plan", "true")))


def bare_mpirun() -> tuple[Sequence[str], Mapping[str, str]]:
    """Return mpirun with our hosts and ssh settings, and nothing else of ours."""
    command = ("mpijob-runtime", "plan", "--json", "--", "true")
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    plan = json.loads(answer.stdout)
    decided = {
        name: variable["value"]
        for name, variable in plan["environ"].items()
        if variable["value"] is not None
    }
    for name in ("OMPI_MCA_orte_fork_agent", "PRTE_MCA_odls_base_exec_agent"):
        decided.pop(name, None)
    for name in {"OMPI_MCA_plm_rsh_agent", "PRTE_MCA_plm_ssh_agent"} & decided.keys():
        decided[name] = f"ssh -F {PRIVATE}/ssh_config"  # ours asks a launcher, which is not there
    return plan["argv"], {**os.environ, **decided}


def bare(argv: Sequence[str], environ: Mapping[str, str]) -> None:
    """Time bare mpirun; 5.0.11 hangs now and then: such a run is ended, told and repeated."""
    while True:
        began = time.perf_counter()
        with subprocess.Popen(
            argv, env=environ, stdout=subprocess.DEVNULL, start_new_session=True
        ) as process:
            try:
                process.wait(HUNG_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                emit("bare mpirun, runs that hung", HUNG_SECONDS)
                continue
        emit("bare mpirun", time.perf_counter() - began)
        return


def launch() -> None:
    """Time launch, and tell its phases."""
    emit("mpijob-runtime launch", timed(LAUNCH))
    with open("/tmp/report.json", encoding="utf-8") as file:
        phases = json.load(file)["phases_seconds"]
    for name, seconds in phases.items():
        emit(f"launch: phase {name}", seconds)


def timed(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> float:
    """Return the wall time of a command in seconds."""
    began = time.perf_counter()
    subprocess.run(argv, check=True, env=environ, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def start_delay(argv: Sequence[str]) -> float:
    """Return the seconds until a program that prints the time has started."""
    began = time.time()
    answer = subprocess.run(argv, check=True, capture_output=True, text=True)
    return float(answer.stdout) - began


def emit(name: str, seconds: float) -> None:
    """Print one measurement."""
    print(json.dumps({"name": name, "seconds": seconds}), flush=True)


main()
