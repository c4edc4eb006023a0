import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

from mpijob_runtime.agent.stacks import stacks_of
from mpijob_runtime.agent.versions import versions_on_path
from mpijob_runtime.stacks import RankStack, describe_stacks

DUMP = """\
Process {pid}: python train.py
Python v3.11.2 (/usr/bin/python3.11)

Thread {pid} (idle): "MainThread"
    {function} (train.py:{line})
    main (train.py:90)
    <module> (train.py:99)
"""


def spied(rank, function="all_reduce", line=41):
    """Return a stack as py-spy gives it."""
    return RankStack(rank, "w0", "py-spy", DUMP.format(pid=70 + rank, function=function, line=line))


def test_ranks_in_the_same_place_are_one_group():
    """Pids and threads do not count; function and line do."""
    expected = "all_reduce (train.py:41) < main (train.py:90) < <module> (train.py:99)"
    assert spied(0).key == spied(1).key == expected
    assert spied(0).key != spied(0, line=42).key
    kernel = [RankStack(n, "w0", "kernel", f"process {n} (sh): S, waiting in pipe") for n in (0, 1)]
    assert kernel[0].key == kernel[1].key


def test_the_odd_one_out_is_a_candidate_and_no_more():
    """Three wait for the fourth: it is named first, as a candidate without proof."""
    stacks = [spied(0), spied(1), spied(3), spied(2, "load", 7)]
    found = describe_stacks(stacks, stopped=(), silent=()).splitlines()
    assert found[0] == "stalled: the job makes no progress"
    assert found[1] == "  candidate: rank 2 (elsewhere than the others; no proof)"
    assert found[2] == "  rank 2, by py-spy of rank 2 on w0:"
    assert any(line.startswith("  ranks 0-1,3, by py-spy of rank 0") for line in found)


@pytest.mark.parametrize(
    "stacks",
    [[], [spied(0), spied(1)], [spied(0), spied(1, "load")]],
    ids=["nothing", "all alike", "one each"],
)
def test_without_an_odd_one_out_nobody_is_accused(stacks):
    """The cause is said to be unknown."""
    assert "the cause is unknown" in describe_stacks(stacks, stopped=(), silent=())


def test_a_stopped_rank_is_the_candidate():
    """SIGSTOP explains a stall better than where the others wait."""
    found = describe_stacks([spied(0), spied(1), spied(2, "load")], stopped={1}, silent={3})
    assert "stopped by a signal (SIGSTOP): rank 1" in found
    assert "no answer from: rank 3" in found
    assert "candidate: rank 1 " in found


def test_a_silent_rank_is_the_candidate_if_nothing_is_stopped():
    """Who does not answer is more suspect than who does."""
    found = describe_stacks([spied(0), spied(1), spied(2, "load")], stopped=(), silent={3})
    assert "candidate: rank 3 " in found


def test_a_thousand_places_do_not_fill_the_screen():
    """Groups and lines are bounded."""
    stacks = [spied(n, f"f{n}") for n in range(1000)]
    assert len(describe_stacks(stacks, stopped=(), silent=()).splitlines()) < 60


@pytest.fixture
def process():
    """Return a function that starts a program; it is killed at the end."""
    started = []

    def start(*argv, **environ):
        pipes = {"stdout": subprocess.PIPE, "text": True}
        program = subprocess.Popen(argv, env=os.environ | environ, start_new_session=True, **pipes)
        started.append(program)
        return program

    yield start
    for program in started:
        os.killpg(program.pid, signal.SIGKILL)
        program.communicate()


def test_the_kernel_tells_about_what_is_no_python(process):
    """Name, state and what it waits in, of the program and all below it."""
    shell = process("sh", "-c", "sleep 60 & echo $!; wait")
    child = int(shell.stdout.readline())
    found = stacks_of(shell.pid)
    assert found["how"] == "kernel"
    lines = found["text"].splitlines()
    form = r"process {} \([a-z]+\): [RSD] \([a-z ]+\), waiting in \S+"
    assert re.fullmatch(form.format(shell.pid), lines[0])
    assert re.fullmatch(form.format(child), lines[1])


SLEEPS = "import time; print('up', flush=True); time.sleep(60)"
PY_SPY = shutil.which("py-spy", path=f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}")


@pytest.mark.skipif(not PY_SPY or os.geteuid() != 0, reason="py-spy needs a right to look")
def test_py_spy_tells_where_a_python_program_is(process, tmp_path):
    """Function and line, also of a child of a shell."""
    script = tmp_path / "train.py"
    script.write_text(f"def waits():\n    {SLEEPS}\nwaits()\n")
    shell = process("sh", "-c", f"{sys.executable} {script}; :")
    shell.stdout.readline()
    found = stacks_of(shell.pid)
    assert found["how"] == "py-spy"
    assert "waits (" in found["text"]


def test_a_py_spy_that_cannot_look_leaves_it_to_the_kernel(process, tmp_path, monkeypatch):
    """Yama may forbid it: no error, and no pretence."""
    tool = tmp_path / "py-spy"
    tool.write_text("#!/bin/sh\necho no >&2\nexit 1\n")
    tool.chmod(0o755)
    monkeypatch.setattr(sys, "executable", f"{tmp_path}/python")
    program = process(shutil.which("python3"), "-c", SLEEPS)
    program.stdout.readline()
    assert stacks_of(program.pid)["how"] == "kernel"


def test_a_program_that_is_gone_is_no_error():
    """It may end while it is asked."""
    assert stacks_of(1 << 30)["how"] == "kernel"


def test_versions_are_read_from_names_of_files(tmp_path):
    """The first python3 on PATH, and what is installed for it."""
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    for name in ("torch-2.9.0+cpu.dist-info", "numpy-2.3.dist-info", "six-1.0.dist-info", "torch"):
        (packages / name).mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3.11").touch(mode=0o755)
    (tmp_path / "bin" / "python3").symlink_to("python3.11")
    found = versions_on_path(f"/nowhere:{tmp_path}/bin:/usr/bin")
    assert found == {"python": "3.11", "torch": "2.9.0+cpu", "numpy": "2.3"}


@pytest.mark.parametrize("path", ["", "/nowhere", ":"])
def test_without_a_python_there_are_no_versions(path):
    """A program that is no Python has none."""
    assert versions_on_path(path) == {}


def test_a_python_without_packages_has_its_own_version(tmp_path):
    """Nothing installed is nothing to tell, and no error."""
    (tmp_path / "python3.12").touch(mode=0o755)
    (tmp_path / "python3").symlink_to("python3.12")
    assert versions_on_path(str(tmp_path)) == {"python": "3.12"}
