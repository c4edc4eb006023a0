"""A run from its plan to its result, with a stand-in for mpijob-runtime."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from bench_stand_in import HOSTS, put_stand_in

from mpijob_bench.cli import main
from mpijob_bench.record import Record
from mpijob_bench.result import read_result
from mpijob_bench.run_command import make_result
from mpijob_bench.verdict import judge

SMALL = ("--nodes", "4", "--pairs", "3", "--warmup", "2", "--warmup-seconds", "0", "--steps", "4")
USER = (*SMALL, "--curve", "2", "--", "python", "train.py")


@pytest.fixture
def out(tmp_path):
    """Return a directory for results."""
    return tmp_path / "results"


@pytest.fixture
def launches(tmp_path, monkeypatch):
    """Return the file that the stand-in writes a line into for each launch."""
    home = tmp_path / "bin"
    home.mkdir()
    return put_stand_in(home, monkeypatch)


def record_of(out):
    """Return key and status of each attempt."""
    return [(launch["key"], launch["status"]) for launch in Record(out).launches()]


def test_a_program_of_the_users_own_is_judged(out, launches, capsys):
    """Alone on each host at the same time, then together: 0.1 s against 0.125 s is 80 %."""
    code = main(["run", "--out", str(out), *USER])
    result = read_result(str(out / "result.json"))

    assert code == 1
    assert result["pairs"][0]["alone"] == [80.0] * 4
    assert result["pairs"][0]["together"] == 256.0
    assert result["hosts"] == list(HOSTS)
    assert "FAIL: high 0.8000 is below the target 0.85" in capsys.readouterr().out
    assert len(launches.read_text().splitlines()) == 3 * (4 + 1) + 1
    assert (out / "report.html").stat().st_size < 2_000_000


def test_a_run_that_is_done_does_nothing_more(out, launches):
    """The second one only judges again."""
    main(["run", "--out", str(out), *USER])
    before = launches.read_text()
    assert main(["run", "--out", str(out)]) == 1
    assert launches.read_text() == before


@pytest.fixture
def uneven(launches):
    """Make the launches together differ by a fifth; return the stand-in's file."""
    path = launches.with_name("mpijob-runtime")
    path.write_text(path.read_text().replace("else 0.125", "else (0.11, 0.13)[number % 2]"))
    return launches


def test_pairs_that_cannot_tell_are_extended(out, uneven, capsys):
    """Once, by as many as the plan has declared, and before the curve."""
    assert main(["run", "--out", str(out), "--extend", "2", *USER]) == 3
    result = read_result(str(out / "result.json"))

    assert (result["plan"]["pairs"], result["plan"]["extension"]) == (3, 2)
    assert [pair["order"] for pair in result["pairs"]] == [0, 1, 2, 3, 4]
    assert result["guards"][0] == {"name": "complete", "ok": True, "value": 5, "limit": 5}
    assert [key for key, _ in record_of(out)][-1] == "curve-2-0"
    told = capsys.readouterr()
    assert "launch 6 of 7: pair-2-alone" in told.err
    assert "launch 7 of 11: pair-3-alone" in told.err
    assert "launch 11 of 11: curve-2-0" in told.err
    assert "INCONCLUSIVE" in told.out


def test_pairs_that_can_tell_are_not(out, launches):
    """The extension that was declared is left out, and the result is whole without."""
    assert main(["run", "--out", str(out), "--extend", "2", *USER]) == 1
    result = read_result(str(out / "result.json"))
    assert len(result["pairs"]) == 3
    assert result["guards"][0] == {"name": "complete", "ok": True, "value": 3, "limit": 3}


@pytest.mark.parametrize(("missing", "done"), [(3, 4), (5, 3)], ids=["between", "at the look"])
def test_an_extension_that_was_interrupted_goes_on(missing, done, out, uneven):
    """Until all of it is done the result is INVALID: the bounds are of the looks declared."""
    main(["run", "--out", str(out), "--extend", "2", *USER])
    lines = (out / "launches.jsonl").read_text().splitlines(keepends=True)
    (out / "launches.jsonl").write_text("".join(lines[: -2 * missing]))  # begun and ended
    half = make_result((out / "plan.json").read_text(), Record(out))
    assert half["guards"][0] == {"name": "complete", "ok": False, "value": done, "limit": 5}
    assert judge(half).word == "INVALID"

    assert main(["run", "--out", str(out)]) == 3
    pairs = read_result(str(out / "result.json"))["pairs"]
    assert [pair["order"] for pair in pairs] == [0, 1, 2, 3, 4]


def test_a_failed_pair_is_not_outnumbered(out, tmp_path, monkeypatch):
    """The job has failed; further pairs would not change it."""
    home = tmp_path / "bin"
    home.mkdir()
    put_stand_in(home, monkeypatch, failing={4})
    assert main(["run", "--out", str(out), "--extend", "2", *USER]) == 1
    assert len(read_result(str(out / "result.json"))["pairs"]) == 3


@pytest.mark.parametrize(("flags", "said"), [((), True), (("--quiet",), False)])
def test_progress_can_be_left_out(flags, said, out, launches, capsys):
    """The verdict is said in any case; a run that was begun goes on with the flag alone."""
    main(["run", "--out", str(out), *flags, *USER])
    told = capsys.readouterr()
    assert ("launch 1 of 7: pair-0-alone, 4 nodes" in told.err) == said
    assert "FAIL: high 0.8000" in told.out
    assert main(["run", "--out", str(out), "-q"]) == 1


def test_nccl_is_told_to_say_what_it_uses(out, launches):
    """In every launch, alone and together alike: its log is what proves the transport."""
    main(["run", "--out", str(out), *USER])
    assert all("--env NCCL_DEBUG=INFO" in line for line in launches.read_text().splitlines())


def test_a_failed_launch_stays_failed(out, tmp_path, monkeypatch):
    """Nobody repeats it until it pleases; the others are done, and the gate says FAIL."""
    home = tmp_path / "bin"
    home.mkdir()
    put_stand_in(home, monkeypatch, failing={4})  # the first pair's launch together
    assert main(["run", "--out", str(out), *USER]) == 1
    result = read_result(str(out / "result.json"))

    assert [pair["status"] for pair in result["pairs"]] == ["failed", "ok", "ok"]
    assert result["pairs"][0]["reason"] == "rank 1 was killed"
    assert main(["run", "--out", str(out)]) == 1
    assert [status for _, status in record_of(out)].count("failed") == 1


def test_an_interrupted_run_goes_on(out, tmp_path, monkeypatch):
    """What was under way is done anew, what was done is not; both attempts are in the record."""
    home = tmp_path / "bin"
    home.mkdir()
    launches = put_stand_in(home, monkeypatch, killing={9})  # pair 1: together first, then alone
    argv = (sys.executable, "-m", "mpijob_bench", "run", "--out", str(out), *USER)
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run(argv, env=environ, check=False, capture_output=True)
    assert killed.returncode == -9
    assert not (out / "result.json").exists()
    done = len(launches.read_text().splitlines())

    assert main(["run", "--out", str(out)]) == 1
    states = record_of(out)
    assert [status for key, status in states if key == "pair-1-alone"] == ["interrupted", "ok"]
    assert [status for _, status in states].count("ok") == 7
    assert len(launches.read_text().splitlines()) < done + 3 * 5 + 1
    assert read_result(str(out / "result.json"))["pairs"][1]["status"] == "ok"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
@pytest.mark.parametrize("hanging", [{0, 1, 2, 3}, {4}], ids=["alone", "together"])
def test_who_ends_the_run_ends_its_launches(hanging, number, code, out, tmp_path, monkeypatch):
    """Each of them gets SIGTERM, and so ends its ranks; the record says interrupted."""
    home = tmp_path / "bin"
    home.mkdir()
    put_stand_in(home, monkeypatch, hanging=hanging)
    argv = (sys.executable, "-m", "mpijob_bench", "run", "--out", str(out), *USER)
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(argv, env=environ, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while len(list(home.glob("hangs-*"))) < len(hanging):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(30) == code
    assert len(list(home.glob("ended-*"))) == len(hanging)
    assert record_of(out)[-1][1] == "interrupted"


def test_a_torn_line_is_cut_off(out, launches):
    """A run that was killed while it wrote leaves half a line, and no more damage than that."""
    main(["run", "--out", str(out), *USER])
    whole = (out / "launches.jsonl").read_text()
    steps = (out / "steps.jsonl").read_text()
    (out / "launches.jsonl").write_text(whole + '{"number": 99, "sta')
    (out / "steps.jsonl").write_text(steps + '{"launch"')
    assert main(["run", "--out", str(out)]) == 1
    assert (out / "launches.jsonl").read_text() == whole
    assert (out / "steps.jsonl").read_text() == steps
    assert len(launches.read_text().splitlines()) == 16


def test_a_record_of_something_else_is_refused(out, launches, capsys):
    """With the line; nothing is overwritten."""
    Record(out).append({"number": 0, "key": "links", "status": "ok"})
    (out / "launches.jsonl").write_text("[1]\n")
    assert main(["run", "--out", str(out), *USER]) == 65
    assert "launches.jsonl" in capsys.readouterr().err
    assert (out / "launches.jsonl").read_text() == "[1]\n"
    assert not launches.exists()


def test_another_plan_for_the_same_results_is_refused(out, launches, capsys):
    """A result has one plan."""
    main(["run", "--out", str(out), *USER])
    assert main(["run", "--out", str(out), "--seed", "2", *USER]) == 65
    assert "another plan" in capsys.readouterr().err


def test_more_nodes_than_hosts_are_refused(out, launches, capsys):
    """Before the first launch."""
    assert main(["run", "--out", str(out), "--nodes", "8", "--", "python", "t.py"]) == 65
    assert "at most the job's 4 hosts" in capsys.readouterr().err
    assert not launches.exists()
    assert main(["run", "--out", str(out), *USER]) == 1, "the refused plan was not kept"


def test_hosts_with_different_slots_are_refused(out, tmp_path, monkeypatch, capsys):
    """Two ranks on one host would pass for a fast node, one for a slow one."""
    home = tmp_path / "bin"
    home.mkdir()
    put_stand_in(home, monkeypatch)
    path = home / "mpijob-runtime"
    path.write_text(path.read_text().replace("slots=1)", "slots=1 + (name == 'w-1'))"))
    assert main(["run", "--out", str(out), *USER]) == 65
    assert "slots (1, 2, 1, 1), wanted as many on each host" in capsys.readouterr().err


def test_a_plan_and_options_beside_it_are_refused(out, launches, tmp_path, capsys):
    """What would have been ignored is told."""
    plan = tmp_path / "plan.json"
    assert main(["plan", "--out", str(plan), *USER]) == 0
    for more in (["--pairs", "5"], ["--", "python", "other.py"]):
        assert main(["run", "--out", str(out), "--plan", str(plan), *more]) == 64
    assert "give --plan alone" in capsys.readouterr().err
    assert not out.exists()


def test_a_plan_from_another_system_is_a_plan(out, launches, tmp_path):
    """Its line ends are part of its hash, and stay."""
    plan = tmp_path / "plan.json"
    main(["plan", "--out", str(plan), *USER])
    plan.write_bytes(plan.read_bytes().replace(b"\n", b"\r\n"))
    assert main(["run", "--out", str(out), "--plan", str(plan)]) == 1
    assert main(["run", "--out", str(out)]) == 1
    assert main(["gate", str(out / "result.json"), "--plan", str(plan)]) == 1


@pytest.mark.parametrize("name", ["steps.jsonl", "launches.jsonl", "plan.json"])
@pytest.mark.parametrize("content", [b'{"mine": 1}', b"\xff\xfe\n", b"x" * 70_000])
def test_files_of_something_else_are_kept(name, content, out, launches):
    """Refused, and not a byte of them is changed."""
    out.mkdir()
    (out / name).write_bytes(content)
    assert main(["run", "--out", str(out), *USER]) == 65
    assert (out / name).read_bytes() == content
    assert not launches.exists()


def test_a_sweep_that_somebody_else_left_is_not_taken(out, launches):
    """A comm.json in the directory is of the run only if the run has made it."""
    out.mkdir()
    (out / "comm.json").write_text("{}")
    assert main(["run", "--out", str(out), *USER]) == 1
    assert read_result(str(out / "result.json"))["comm"] is None


def test_without_mpijob_runtime_the_next_step_is_told(out, tmp_path, monkeypatch, capsys):
    """This is no image of ours."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["run", "--out", str(out), *USER]) == 78
    assert "run this in an image of mpijob-runtime" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("step_seconds=", "took="), "4 of 4 ranks printed no steps"),
        (("tell(rank, step", 'names[rank] != "w-2" and tell(rank, step'), "1 of 4 ranks"),
    ],
    ids=["nothing", "one rank silent"],
)
def test_a_program_that_does_not_tell_its_steps_ends_the_run(
    change, words, out, tmp_path, monkeypatch, capsys
):
    """Before hours are spent: the launch is to do again, and no verdict is given."""
    home = tmp_path / "bin"
    home.mkdir()
    put_stand_in(home, monkeypatch)
    path = home / "mpijob-runtime"
    path.write_text(path.read_text().replace(*change))
    assert main(["run", "--out", str(out), *USER]) == 78
    assert words in capsys.readouterr().err
    assert record_of(out) == [("pair-0-alone", "interrupted")]
    assert not (out / "result.json").exists()


@pytest.mark.parametrize(
    "case",
    [
        (69, 'outcome="not_started", reason="no hosts"', 69),
        (1, 'outcome="not_started", reason="mpirun ended with 1"', 75),
        (75, 'outcome="preempted", reason="the pod was told to end"', 75),
        (75, 'outcome="failed", reason="a host was lost", first_failure=dict(rank=1)', 75),
        (75, 'outcome="failed", reason="hung", ranks_started=2, world_size=4', 75),
        (76, 'outcome="failed", reason="elsewhere", ranks_started=4, world_size=4', 76),
    ],
)
def test_a_launch_that_did_not_come_about_is_no_failed_pair(
    case, out, tmp_path, monkeypatch, capsys
):
    """Hosts that were not ready say nothing of the job: the run ends so, and goes on later."""
    code, told, ends_with = case
    home = tmp_path / "bin"
    home.mkdir()
    put_stand_in(home, monkeypatch, failing={4})
    path = home / "mpijob-runtime"
    text = path.read_text().replace("sys.exit(137)", f"sys.exit({code})")
    path.write_text(text.replace('outcome="failed", reason="rank 1 was killed"', told))
    assert main(["run", "--out", str(out), *USER]) == ends_with
    assert "the same command goes on" in capsys.readouterr().err
    assert record_of(out)[-1] == ("pair-0-together", "interrupted")
    assert main(["run", "--out", str(out)]) == 1
    assert [pair["status"] for pair in read_result(str(out / "result.json"))["pairs"]] == ["ok"] * 3


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (69, "first_failure=dict(rank=1, exit_code=69, signal=None)"),
        (75, "first_failure=None, ranks_started=4, world_size=4"),
    ],
    ids=["its own code", "a stall"],
)
def test_a_program_that_fails_is_not_tried_again(code, told, out, tmp_path, monkeypatch):
    """69 of a rank's own is no host that was not ready, and ranks that hang have started."""
    home = tmp_path / "bin"
    home.mkdir()
    put_stand_in(home, monkeypatch, failing={4})
    path = home / "mpijob-runtime"
    text = path.read_text().replace("sys.exit(137)", f"sys.exit({code})")
    path.write_text(text.replace('reason="rank 1', f'{told}, reason="rank 1'))
    assert main(["run", "--out", str(out), *USER]) == 1
    assert read_result(str(out / "result.json"))["pairs"][0]["status"] == "failed"


def test_a_plan_that_was_changed_is_another(out, launches, capsys):
    """A lower target after a look at the numbers is not taken, though the file is in its place."""
    main(["run", "--out", str(out), *USER])
    plan = out / "plan.json"
    plan.write_text(plan.read_text().replace("0.85", "0.75"))
    assert main(["run", "--out", str(out)]) == 65
    assert "plan_hash" in capsys.readouterr().err


def test_steps_are_streamed_with_their_launch(out, launches):
    """Each rank's every step, warm-up as well."""
    main(["run", "--out", str(out), *USER])
    lines = [json.loads(line) for line in (out / "steps.jsonl").read_text().splitlines()]
    first = [line for line in lines if line["launch"] == 0]
    assert len(first) == 4 * 6
    assert sum(line["warmup"] for line in first) == 4 * 2
    assert {line["rank"] for line in first} == {0, 1, 2, 3}
