"""Runs in a launcher: rounds of many ``mpirun`` at random moments; says what went wrong.

Each job's rank 0 takes its MASTER_PORT for as long as it runs, as torch.distributed does, and its
ranks say who they are. Arguments: launches, rounds, seconds in which a round's launches begin,
seed.
"""

import concurrent.futures
import os
import random
import subprocess
import sys
import time

RANK = """
import os, socket, sys, time
with socket.socket() as meeting:
    if os.environ["RANK"] == "0":
        meeting.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        meeting.bind(("", int(os.environ["MASTER_PORT"])))
        meeting.listen()
    print("rank", os.environ["RANK"], "of job", sys.argv[1], flush=True)
    time.sleep(float(sys.argv[2]))
"""
RANKS = 2
SECONDS = 600


def launch(name: str, after_seconds: float, lasting_seconds: float) -> str:
    """Run one job and return what was wrong with it; nothing if all was right."""
    time.sleep(after_seconds)
    program = ("python3", "-c", RANK, name, str(lasting_seconds))
    try:
        done = subprocess.run(
            ("mpirun", "-n", str(RANKS), *program),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return f"hangs: {error.stderr!r}"
    expected = [f"rank {rank} of job {name}" for rank in range(RANKS)]
    if done.returncode == 0 and sorted(done.stdout.split("\n")[:-1]) == expected:
        return "" if "earlier attempt" not in done.stderr else done.stderr
    return f"ended with {done.returncode}: {done.stdout}{done.stderr}"


def main() -> int:
    """Run all rounds and return how many jobs went wrong, 99 at most."""
    launches, rounds = int(sys.argv[1]), int(sys.argv[2])
    within_seconds, seed = float(sys.argv[3]), int(sys.argv[4])
    chance = random.Random(seed)
    wrong = 0
    for number in range(rounds):
        began = time.monotonic()
        jobs = [
            (f"{number}.{n}", chance.uniform(0, within_seconds), chance.uniform(0, 2))
            for n in range(launches)
        ]
        with concurrent.futures.ThreadPoolExecutor(launches) as pool:
            found = list(pool.map(launch, *zip(*jobs, strict=True)))
        bad = [f"job {job[0]}: {words}" for job, words in zip(jobs, found, strict=True) if words]
        wrong += len(bad)
        seconds = time.monotonic() - began
        bad.append(f"round {number}: {len(bad)} of {launches} wrong, {seconds:.0f} s")
        sys.stdout.write("\n".join([*bad, ""]))
        sys.stdout.flush()
    left = os.listdir(f"/dev/shm/mpijob-{os.geteuid()}-{os.uname().nodename}")
    sys.stdout.write(f"left in the run directory: {' '.join(sorted(left))}\n")
    return min(wrong, 99)


if __name__ == "__main__":
    sys.exit(main())
