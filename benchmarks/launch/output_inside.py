"""Runs inside the launcher's pod: floods the ranks' output and judges what arrives.

Prints one JSON object for each run.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

PRIVATE = f"/dev/shm/mpijob-{os.geteuid()}-{os.uname().nodename}"
DATA, ERRORS, LOGS = "/tmp/data", "/tmp/errors", "/tmp/logs"
HUNG_SECONDS = 600
SLOW_SECONDS, SLOW_BYTES = 10.0, 1 << 20

# A rank: numbered lines of 100 bytes, then how much its host's processes have used by now.
RANK = r"""
import os, sys, time
lines, at_once, quiet_seconds = map(int, sys.argv[1:])
rank = os.environ["OMPI_COMM_WORLD_RANK"]
def write(data):
    while data:
        data = data[os.write(1, data):]
pattern = (f"line {int(rank):3d} %09d ".encode() + b"x" * 80 + b"\n") * at_once
for first in range(0, lines, at_once):
    write(pattern % tuple(range(first, first + at_once)))
ticks = os.sysconf("SC_CLK_TCK")
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        with open(f"/proc/{pid}/status") as file:
            status = dict(line.split(":", 1) for line in file)
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        continue
    name = status["Name"].strip()
    if name in ("mpijob-agent", "sshd", "orted", "prted") and "VmHWM" in status:
        kilobytes = int(status["VmHWM"].split()[0])
        cpu = (int(fields[11]) + int(fields[12])) / ticks
        host = os.uname().nodename
        os.write(2, f"used {host} {pid} {name} {kilobytes} {cpu:.2f} end\n".encode())
time.sleep(quiet_seconds)
"""
_USED = re.compile(rb"used (\S+) (\d+) (\S+) (\d+) ([\d.]+) end")

# variant -> the prefix of a line; rank and text are groups
PREFIXES = {
    "prefix": rb"\[(\d+) [\w.-]+\] (line.*)",
    "plain": rb"()(line.*)",
    "json": rb'\{"time": [\d.]+, "rank": (\d+), "host": "[\w.-]+", "stream": "stdout", '
    rb'"text": "(line.*)"\}',
    "mpirun": rb"()(line.*)",
    "bare": rb"()(line.*)",
    "bare, tagged": rb"\[[^\]]*,(\d+)\]<stdout>: ?(line.*)",
}
_TEXT = re.compile(rb"line   ([0-7]) (\d{9}) x{80}")


def main() -> None:
    """Run each variant as often as asked, the order turned round each time."""
    told = json.loads(sys.argv[1])
    variants: Sequence[str] = told["variants"]
    subprocess.run(("mpijob-runtime", "wait", "--quiet"), check=True)
    for number in range(told["rounds"]):
        for variant in variants if number % 2 == 0 else variants[::-1]:
            print(json.dumps(measure(variant, told)), flush=True)


def measure(variant: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """Run a job in one variant and return what it took."""
    words = variant.split(" + ")
    program = ("/usr/bin/python3", "-c", RANK, str(told["lines"]), str(told["at_once"]), "0")
    argv, environ = command(words[0], program, logged="log-dir" in words)
    usage: dict[str, Any] = {}
    with open(ERRORS, "wb") as errors, open(DATA, "wb") as file:
        process = subprocess.Popen(
            argv, env=environ, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
        ending = threading.Timer(HUNG_SECONDS, os.killpg, (process.pid, signal.SIGKILL))
        ending.start()
        watching = threading.Thread(target=watch, args=(process, usage), daemon=True)
        watching.start()
        seconds = take(process, file.fileno(), usage, slow="slow reader" in words)
        code = process.wait()
        ending.cancel()
        watching.join()
    if code or not seconds:
        with open(ERRORS, encoding="utf-8", errors="replace") as said:
            sys.exit(f"{variant}: ended with {code}: {said.read()[-2000:]}")
    result = judge(PREFIXES[words[0]], told["lines"])
    if "log-dir" in words:
        result["log files"] = judge_files(told["lines"])
    cpu = usage["cpu"] - usage.get("cpu_at_first", 0.0)
    megabytes = (8 * told["lines"] - result["lost"]) * 100 / 1e6  # what arrived whole
    return {
        "variant": variant,
        "seconds": seconds,
        "mb_per_second": megabytes / seconds,
        "launcher_rss_mb": usage["rss_mb"],
        "launcher_cpu_seconds": cpu,
        **result,
        **hosts_usage(),
    }


def command(
    form: str, program: Sequence[str], *, logged: bool
) -> tuple[Sequence[str], Mapping[str, str]]:
    """Return the command line and the environment of a variant."""
    if not form.startswith("bare"):
        log = ("--log-dir", LOGS) if logged else ()
        return ("mpijob-runtime", "launch", "--output", form, *log, "--", *program), os.environ
    asked = ("mpijob-runtime", "plan", "--json", "--", *program)
    plan = json.loads(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)
    decided = {k: v["value"] for k, v in plan["environ"].items() if v["value"] is not None}
    for name in ("OMPI_MCA_orte_fork_agent", "PRTE_MCA_odls_base_exec_agent"):
        decided.pop(name, None)
    for name in {"OMPI_MCA_plm_rsh_agent", "PRTE_MCA_plm_ssh_agent"} & decided.keys():
        decided[name] = f"ssh -F {PRIVATE}/ssh_config"  # ours asks a launcher, which is not there
    mpirun, *rest = plan["argv"]
    tag = ("--tag-output",) if plan["mpi"]["version"].startswith("4") else ("--output", "tag")
    tag = tag if form == "bare, tagged" else ()
    return (mpirun, *tag, *rest), {**os.environ, **decided, "MPIJOB_SHIM": "off"}


def watch(process: "subprocess.Popen[bytes]", usage: dict[str, Any]) -> None:
    """Note the launcher's own peak of memory and CPU time, without its children's."""
    ticks = os.sysconf("SC_CLK_TCK")
    while process.poll() is None:
        try:
            with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
                peak = re.search(r"VmHWM:\s+(\d+)", file.read())
            with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            return
        if peak is not None:
            usage["rss_mb"] = int(peak[1]) / 1024
            usage["cpu"] = (int(fields[11]) + int(fields[12])) / ticks
            if "first" in usage:
                usage.setdefault("cpu_at_first", usage["cpu"])
        time.sleep(0.05)


def take(
    process: "subprocess.Popen[bytes]", file: int, usage: dict[str, Any], *, slow: bool
) -> float:
    """Store what comes; return the seconds from the first byte to the last."""
    assert process.stdout is not None
    began = last = 0.0
    while data := os.read(process.stdout.fileno(), 1 << 16):
        last = time.monotonic()
        if not began:
            began = usage["first"] = last
        os.write(file, data)
        if slow and last - began < SLOW_SECONDS:
            time.sleep(len(data) / SLOW_BYTES)
    return last - began


def judge(prefix: bytes, lines: int) -> dict[str, int]:
    """Count what is broken (not a whole line as written), lost, doubled or out of order."""
    pattern = re.compile(prefix)
    following = dict.fromkeys(range(8), 0)
    seen = dict.fromkeys(range(8), 0)
    broken = disordered = 0
    with open(DATA, "rb", buffering=1 << 20) as file:
        for line in file:
            whole = pattern.fullmatch(line[:-1])
            text = whole and _TEXT.fullmatch(whole[2])
            if not whole or not text or (whole[1] and int(whole[1]) != int(text[1])):
                broken += 1
                continue
            rank, number = int(text[1]), int(text[2])
            disordered += number != following[rank]
            following[rank] = number + 1
            seen[rank] += 1
    return {"broken": broken, "lost": 8 * lines - sum(seen.values()), "disordered": disordered}


def judge_files(lines: int) -> bool:
    """Tell whether each rank's file has exactly what the rank wrote to stdout, in order."""
    start = max(os.listdir(LOGS))  # each start of a job has a directory of its own
    for rank in range(8):
        with open(f"{LOGS}/{start}/rank-{rank}.log", "rb") as file:
            written = [m for m in map(_TEXT.fullmatch, file.read().split(b"\n")) if m]
        if [int(m[2]) for m in written] != list(range(lines)):
            return False
    return True


def hosts_usage() -> dict[str, float]:
    """Return the most that each kind of process on a worker has used, as the ranks saw it."""
    with open(ERRORS, "rb") as file:
        found = _USED.findall(file.read())
    used: dict[str, float] = {}
    for _, _, name, kilobytes, cpu in found:
        for kind, value in (("rss_mb", int(kilobytes) / 1024), ("cpu_seconds", float(cpu))):
            key = f"{name.decode()}_{kind}"
            used[key] = max(used.get(key, 0.0), value)
    return used


main()
