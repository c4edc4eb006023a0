"""A sweep that was interrupted goes on where it stopped."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from bench_stand_in import put_program

from mpijob_bench.cli import main
from mpijob_bench.comm.document import read_comm

ARGV = ["comm", "--backend", "gloo", "--collective", "all_reduce", "--min-bytes", "1KiB"]
SIZES = [1024, 4096, 16384]
STAND_IN = '''#!{python}
"""Says what the ranks of a sweep would, and breaks off where it is told to."""
import json, os, sys

told, ranks = 0, int(os.environ["RANKS"])
done = [sys.argv[i + 2] for i, word in enumerate(sys.argv) if word == "--done"]
open("argv.txt", "w").write(" ".join(done))

def tell(rank, **data):
    global told
    if told == int(os.environ["BREAK_AFTER"]):
        sys.exit(1)
    told += 1
    line = {{"rank": rank, "host": f"worker-{{rank}}", "stream": "stdout"}}
    line["text"] = json.dumps(data)
    print(json.dumps(line), flush=True)

tell(0, bench="sweep", sizes={sizes}, memory_bytes=1 << 30, device="cpu", ranks=ranks)
for size in {sizes}:
    for rank in range(ranks) if str(size) not in done else ():
        facts = dict(seconds=[size * 1e-6] * 2, in_a_row_seconds=size * 1e-6, wrong_elements=0)
        tell(rank, bench="collective", collective="all_reduce", bytes=size, **facts)
'''


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """Return a function that runs the command with a stand-in for the launcher."""
    put_program(tmp_path, monkeypatch, STAND_IN.format(python=sys.executable, sizes=SIZES))
    monkeypatch.chdir(tmp_path)

    def run(*options, ranks=2, break_after=-1):
        monkeypatch.setenv("RANKS", str(ranks))
        monkeypatch.setenv("BREAK_AFTER", str(break_after))
        code = main([*ARGV, *options])
        return code, (tmp_path / "argv.txt").read_text()

    return run


def test_a_sweep_goes_on_where_it_stopped(sweep, tmp_path, capsys):
    """What one rank alone has told is measured anew; a line that was cut off does no harm."""
    assert sweep(break_after=4) == (78, "")
    assert not (tmp_path / "comm.json").exists()
    with (tmp_path / "comm.jsonl.part").open("a") as file:
        file.write('{"rank":0,"ho')
    assert sweep() == (0, "1024")
    assert "going on: 1 of 3 were measured before" in capsys.readouterr().err
    assert [row["bytes"] for row in read_comm("comm.json")["results"]] == SIZES
    lines = [json.loads(line) for line in (tmp_path / "comm.jsonl").read_text().splitlines()]
    assert [(each["bytes"], each["rank"]) for each in lines] == [
        (s, r) for s in SIZES for r in (0, 1)
    ]
    assert {(each["fidelity"], each["bench"]) for each in lines} == {("measured", "collective")}
    assert not list(tmp_path.glob("*.part"))
    assert sweep() == (0, ""), "a sweep that has ended is done again"


def test_a_collective_named_twice_is_measured_once(sweep):
    """Not a size twice."""
    assert sweep("--collective", "all_reduce") == (0, "")
    assert len(read_comm("comm.json")["results"]) == len(SIZES)


@pytest.mark.parametrize("command", [ARGV, ["preflight"]], ids=["comm", "preflight"])
def test_who_ends_it_ends_its_launch(command, tmp_path, monkeypatch):
    """SIGTERM: the launch is told to end, and 75."""
    hanging = "trap 'touch ended; kill $!; exit 75' TERM\ntouch began\nsleep 60 & wait\n"
    put_program(tmp_path, monkeypatch, f"#!/bin/sh\n{hanging}")
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = (sys.executable, "-m", "mpijob_bench", *command)
    with subprocess.Popen(argv, env=environ, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / "began").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 75
    assert (tmp_path / "ended").exists()


def test_another_sweep_begins_anew(sweep):
    """What was asked for is not the same."""
    sweep(break_after=4)
    assert sweep("--seconds", "2") == (0, "")


def test_other_ranks_do_not_go_on(sweep, capsys):
    """Times of two and of three ranks are no sweep; nothing is lost."""
    sweep(break_after=4)
    assert sweep(ranks=3) == (78, "1024")
    assert "wanted those that began the sweep" in capsys.readouterr().err
    assert sweep() == (0, "1024")
