"""A user's mpirun line: what it asks of output and stdin is done; what is wrong with it is told."""

import json
import re

import pytest
from jobs import Job, run_job

pytestmark = pytest.mark.cluster

# Runs each line of its stdin in a shell and prints how it ended, as JSON: many checks in one job.
RUN_LINES = r"""
import json, subprocess, sys
for line in sys.argv[1:]:
    done = subprocess.run(["bash", "-c", line], capture_output=True, stdin=subprocess.DEVNULL)
    said = [text.decode(errors="replace").replace("\0", "") for text in (done.stdout, done.stderr)]
    print("CASE " + json.dumps([line, done.returncode, *said]), flush=True)
"""
FILES = "find /tmp/o* -type f -size +0 -exec cat {} +"
BIG = "head -c 200000 /usr/bin/bash"


def run_lines(name, image, tmp_path, *lines):
    """Return line -> code, stdout and stderr of each, all run by one launcher."""
    ended = run_job(Job(name, image, ("python3", "-c", RUN_LINES, *lines)), tmp_path)
    found = [json.loads(text) for text in re.findall(r"CASE (\[.*\])", ended.text)]
    assert [line for line, *_ in found] == list(lines), ended.text
    return {line: (code, out, err) for line, code, out, err in found}


def test_output_and_stdin_are_what_the_line_asks_for(image, open_mpi, tmp_path):
    """Tags, times, files; the end of stdin with and without anything on it, on both Open MPIs."""
    space = "" if open_mpi.startswith("4") else " "
    files = f"mpirun --output-filename /tmp/o -n 2 echo inside && mpirun -n 2 sh -c '{FILES}'"
    found = run_lines(
        "words-output",
        image,
        tmp_path,
        "mpirun --tag-output -n 2 seq 2000",
        "mpirun --timestamp-output -n 1 echo hi",
        files,
        "mpirun -n 1 echo --tag-output",
        "MPIJOB_OUTPUT=json mpirun --output-filename /tmp/o -n 1 true",
        "timeout 20 mpirun -n 2 cat",
        "timeout 20 mpirun -n 2 cat <&-",
        "echo hi | timeout 20 mpirun -n 2 cat",
        f"{BIG} | timeout 20 mpirun -n 1 md5sum; {BIG} | md5sum",
    )
    outputs = {line: out for line, (_, out, _) in found.items()}

    tagged = outputs["mpirun --tag-output -n 2 seq 2000"].splitlines()
    assert sorted(tagged) == sorted(
        f"[1,{rank}]<stdout>:{space}{number}" for rank in (0, 1) for number in range(1, 2001)
    )
    timed = outputs["mpirun --timestamp-output -n 1 echo hi"]
    assert re.fullmatch(rf"\[?\w+ \w+ +\d+ [\d:]+ \d+\]?<stdout>:{space}hi\n", timed)
    assert outputs[files].count("inside") in (2, 4)  # 4.1 writes it to stdout as well
    assert outputs["mpirun -n 1 echo --tag-output"] == "--tag-output\n"
    code, _, said = found["MPIJOB_OUTPUT=json mpirun --output-filename /tmp/o -n 1 true"]
    assert code == 64
    assert "wanted one of them" in said
    ends = [found[line][:2] for line in found if "cat" in line and "find" not in line]
    assert ends == [(0, ""), (0, ""), (0, "hi\n")]
    passed, given = outputs[f"{BIG} | timeout 20 mpirun -n 1 md5sum; {BIG} | md5sum"].split("\n")[
        :2
    ]
    assert passed == given


def test_what_mpirun_cannot_do_is_told_with_the_next_step(image, open_mpi, tmp_path):
    """No code looks like a signal, and none is called worth a retry."""
    other = {
        "4": ("mpirun --output tag -n 1 true", "write --tag-output for --output tag"),
        "5": ("mpirun -np 2 -bind-to none -mca pml ob1 true", "write --bind-to none"),
    }[open_mpi[0]]
    expected = {
        other[0]: (64, other[1]),
        "mpirun -n 2 --wdir /no/such true": (78, "working directory"),
        "mpirun -n 9 true": (64, "more ranks were asked for than the hosts have slots"),
        "mpirun -n 1 --nosuch true": (64, "its option --nosuch"),
        "mpirun -n 2 nosuch": (127, "program not found: nosuch on words-ends-worker-"),
        "mpirun -n 2 --prefix /no/such true": (78, "Open MPI's daemon on words-ends-worker-"),
        "mpirun -n 1 -H nosuch true": (78, "outside of the plan"),
        "mpirun -n 2 --timeout 1 sleep 20": (110, "the time limit of 1 s was reached"),
        "mpirun -n 2 --do-not-launch true": (0, "mpirun was asked to launch nothing"),
    }
    found = run_lines("words-ends", image, tmp_path, *expected)

    for line, (code, words) in expected.items():
        assert (found[line][0], words in found[line][2]) == (code, True), (line, *found[line])


KILL_DAEMON = (
    "import os, signal, time\n"
    "for pid in filter(str.isdigit, os.listdir('/proc')):\n"
    "    name = open(f'/proc/{pid}/comm').read().strip() if os.environ['RANK'] == '1' else ''\n"
    "    if name in ('orted', 'prted'):\n"
    "        os.kill(int(pid), signal.SIGSEGV)\n"
    "time.sleep(30)\n"
)


def test_a_daemon_that_crashes_is_named_as_that(image, open_mpi, tmp_path):
    """Its ranks are its victims; 5.0's signal is seen and is not worth a retry."""
    job = Job("words-daemon", image, ("mpirun", "-n", "2", "python3", "-c", KILL_DAEMON))
    ended = run_job(job, tmp_path)

    detached = open_mpi.startswith("4")
    assert ended.exit_code == (75 if detached else 139), ended.text
    words = "ended, and its ranks with it" if detached else "crashed: signal 11 (SIGSEGV)"
    assert f"Open MPI's daemon on words-daemon-worker-1 {words}" in ended.text
