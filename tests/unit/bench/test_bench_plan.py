"""The plan: its file, what is refused, its launches and their order."""

import dataclasses
import json

import pytest

from mpijob_bench.cli import main
from mpijob_bench.errors import ResultError
from mpijob_bench.expected import expected_efficiency, expected_step_seconds
from mpijob_bench.plan import (
    Curve,
    Emulation,
    Inject,
    Options,
    Plan,
    Workload,
    format_plan,
    parse_plan,
    plan_hash,
    read_plan,
)
from mpijob_bench.profiles import read_profile, shipped
from mpijob_bench.schedule import (
    LAUNCH_SECONDS,
    estimate_seconds,
    planned_launches,
    remaining_seconds,
)

MODEL = Plan(Workload("model", "resnet50", size={"width": 8}, options=Options(bucket_mb=10)))
EMULATED = Plan(
    Workload("profile", "gpt2", framework="horovod"),
    fidelity="emulated",
    pairs=4,
    emulation=Emulation(25e9, 25.0, 4.0, 0.02, Inject(slow_rank=3, slow_share=0.1)),
)
COMMAND = Plan(Workload("command", "python", argv=("python", "train.py", "a b")), curve=Curve(()))


@pytest.mark.parametrize("plan", [MODEL, EMULATED, COMMAND], ids=["model", "emulated", "command"])
def test_format_and_parse_are_inverses(plan):
    """What is read is what was written, and the same plan has the same bytes."""
    text = format_plan(plan)
    assert parse_plan(text.encode()) == plan
    assert format_plan(parse_plan(text.encode())) == text


def test_a_plan_of_before_there_were_extensions_is_one():
    """It has none."""
    fields = json.loads(format_plan(MODEL))
    del fields["extension"]
    assert parse_plan(json.dumps(fields).encode()) == MODEL


def test_an_extension_is_told(tmp_path, capsys):
    """How often it is needed and what it takes, before the first launch."""
    argv = ["plan", "--pairs", "7", "--extend", "7", "--out", str(tmp_path / "plan.json")]
    assert main(argv) == 0
    told = capsys.readouterr().out
    assert "where those cannot tell, 7 further pairs: in all 31 launches" in " ".join(told.split())
    assert "extended" in told
    assert main([*argv, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["launches"], facts["most_launches"]) == (17, 31)
    middle = next(row for row in facts["power"] if row["efficiency"] == 0.85)
    assert 0.9 < middle["extended"] <= 0.97


def test_another_plan_has_another_hash():
    """One number more, another hash."""
    more = dataclasses.replace(MODEL, pairs=MODEL.pairs + 1)
    assert plan_hash(format_plan(MODEL)) != plan_hash(format_plan(more))


def changed(plan=MODEL, **fields):
    """Return the text of a plan with some of its keys replaced."""
    return json.dumps({**json.loads(format_plan(plan)), **fields})


def other(workload, plan=MODEL):
    """Return the text of a plan with another workload."""
    return format_plan(dataclasses.replace(plan, workload=workload))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "JSON"),
        ("[" * 100_000, "JSON"),
        ("[]", "object"),
        (changed(pairs=0), "pairs"),
        (changed(nodes=1), "nodes"),
        (changed(pairs=2, extension=3), "at least 3 with an extension"),
        (changed(extension=-1), "extension"),
        (changed(target=1.5), "target"),
        (changed(further=1), "further"),
        (changed(schema="scaleplan/2"), "scaleplan/1"),
        (changed(curve={"nodes": [8], "launches": 1}), "curve.nodes"),
        (changed(fidelity="emulated"), "emulated with an emulation"),
        (other(Workload("profile", "resnet50")), "workload.kind"),
        (other(Workload("model", "resnet50"), EMULATED), "workload.kind"),
        (other(Workload("profile", "resnet51"), EMULATED), "workload.name"),
        (other(Workload("model", "resnet51")), "workload.name"),
        (other(Workload("command", "python")), "workload.argv"),
        (other(Workload("model", "gpt2", argv=("python",))), "workload.argv"),
        (
            other(
                Workload("model", "gpt2", framework="horovod", options=Options(compression="bf16"))
            ),
            "workload.options.compression",
        ),
    ],
)
def test_what_is_no_plan_is_refused(text, words):
    """With the place of what is wrong."""
    with pytest.raises(ResultError, match=words) as caught:
        parse_plan(text.encode())
    assert caught.value.exit_code == 65


def test_a_plan_that_is_not_there_is_an_input_error(tmp_path):
    """And so are bytes that are no text."""
    with pytest.raises(ResultError, match="No such file"):
        read_plan(str(tmp_path / "none.json"))
    (tmp_path / "plan.json").write_bytes(b"\xff\x00")
    with pytest.raises(ResultError, match="JSON"):
        read_plan(str(tmp_path / "plan.json"))


def test_pairs_alternate_and_have_both_kinds():
    """Each pair has a launch of each kind, next to each other; the order is that of the power."""
    launches = [launch for launch in planned_launches(EMULATED) if launch.pair is not None]
    assert "".join(launch.kind[0] for launch in launches) == "attataat"
    assert [launch.pair for launch in launches] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_the_network_comes_first_and_the_curve_last():
    """So that a prediction is there before anything that it predicts."""
    keys = [launch.key for launch in planned_launches(EMULATED)]
    assert keys[:2] == ["links", "comm"]
    assert keys[-2:] == ["curve-2-0", "curve-4-0"]
    assert [launch.kind for launch in planned_launches(COMMAND)].count("comm") == 0


def test_a_launch_together_takes_its_blocks():
    """Full steps at the expected efficiency, the others as alone, and each its warm-up."""
    launch = next(found for found in planned_launches(EMULATED) if found.kind == "together")
    seconds = estimate_seconds(EMULATED, launch, step_seconds=1.0, efficiency=0.5)
    assert seconds == LAUNCH_SECONDS + (40 + 400) + 2 * (30 + 50)


def test_what_a_slow_link_takes_is_expected():
    """VGG-16's 553 MB over eight links of 2.5 GB/s: the wire alone takes most of the step."""
    workload, k = Workload("profile", "vgg16"), 25e9 / 125e6
    emulation = Emulation(25e9, byte_scale=k / 8, time_scale=8)
    plan = Plan(workload, nodes=8, pairs=3, fidelity="emulated", emulation=emulation)
    profile = read_profile(shipped("vgg16"))
    wire = 8 * 1.75 * profile.gradient_bytes / 25e9 * 1514 / 1448
    assert expected_step_seconds(plan) == pytest.approx(8 * profile.step_seconds)
    assert expected_efficiency(plan) == pytest.approx(profile.step_seconds / wire, rel=0.2)
    assert expected_efficiency(COMMAND) == COMMAND.target


def test_time_left_learns_from_what_was_done():
    """Launches that took twice as long as expected let those of their kind take twice as long."""
    left = [launch for launch in planned_launches(EMULATED) if launch.pair is not None]
    estimates = {launch.key: 10.0 for launch in left}
    kinds = {launch.key: launch.kind for launch in left}
    done = {"pair-0-alone": 20.0}
    assert remaining_seconds(left[2:], estimates, done, kinds) == 3 * 20 + 3 * 10


def test_plan_writes_the_file_and_says_its_power(tmp_path, capsys):
    """mpijob-bench plan --json: file, hash, launches, seconds, and verdicts by efficiency."""
    path = tmp_path / "plan.json"
    code = main(["plan", "--pairs", "5", "--out", str(path), "--json", "--", "python", "t.py"])
    facts = json.loads(capsys.readouterr().out)

    assert code == 0
    assert facts["hash"] == plan_hash(path.read_text(encoding="utf-8"))
    assert read_plan(str(path))[0].workload.argv == ("python", "t.py")
    passed = [row["pass"] for row in facts["power"]]
    assert passed == sorted(passed)
    assert facts["order"] == "AB BA BA AB AB"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--curve", "8"], "--curve"),
        (["--curve", "2,2"], "--curve"),
        (["--size", "layers"], "--size"),
        (["--model", "resnet50", "--", "python"], "give one of them"),
        (["--pairs", "0"], "--pairs"),
        (["--pairs", "2", "--extend", "5"], "--extend and --pairs 2"),
        (["--pairs", "1001"], "--pairs"),
        (["--nodes", "100001"], "--nodes"),
        (["--steps", "1000001"], "--steps"),
        (["--seed", "-1"], "--seed"),
        (["--target", "nan"], "not finite"),
        (["--bucket-mb", "inf"], "range"),
        (["--warmup-seconds", "nan"], "not finite"),
        (["--step-seconds", "inf"], "not finite"),
        (["--size", "layers=NaN"], "--size"),
        (["--fusion-mb", "64"], "--framework horovod, or leave it out"),
        (["--framework", "horovod", "--bucket-mb", "10"], "--framework ddp, or leave it out"),
        (["--compression", "fp16", "--", "python"], "--compression and a program"),
        (["--batch", "32", "--", "python"], "--batch and a program"),
        (["--size", "layers=2", "--", "python"], "--size and a program"),
    ],
)
def test_options_that_do_not_fit_are_told(options, words, tmp_path, capsys):
    """Usage errors, before anything is written."""
    path = tmp_path / "plan.json"
    assert main(["plan", "--out", str(path), *options]) == 64
    assert words in capsys.readouterr().err
    assert not path.exists()


def test_a_plan_does_not_replace_what_is_no_plan(tmp_path, capsys):
    """A slip of the hand in --out costs nobody a file; another plan is replaced."""
    mine = tmp_path / "train.py"
    mine.write_text("print(1)")
    assert main(["plan", "--out", str(mine)]) == 64
    assert mine.read_text() == "print(1)"
    assert main(["plan", "--out", str(tmp_path / "none" / "plan.json")]) == 78
    assert "cannot write" in capsys.readouterr().err
    for pairs in ("3", "5"):
        assert main(["plan", "--out", str(tmp_path / "plan.json"), "--pairs", pairs]) == 0
    assert read_plan(str(tmp_path / "plan.json"))[0].pairs == 5


@pytest.mark.parametrize(
    ("told", "kept"), [([], "tcp"), (["IB"], "ib"), (["Socket"], "tcp"), (["any"], None)]
)
def test_transports_are_called_as_they_are_found(told, kept, tmp_path):
    """Whatever the spelling: another word would fail a run after hours."""
    path = tmp_path / "plan.json"
    options = ["--transport", *told] if told else []
    assert main(["plan", "--out", str(path), *options]) == 0
    assert read_plan(str(path))[0].transport == kept


def test_a_low_target_has_a_power_as_well(tmp_path, capsys):
    """Efficiencies below nothing are left out of its table, and those above all."""
    for target in ("0.02", "0.99"):
        code = main(["plan", "--target", target, "--out", str(tmp_path / "plan.json"), "--json"])
        rows = json.loads(capsys.readouterr().out)["power"]
        assert code == 0
        assert all(0 < row["efficiency"] <= 1 for row in rows)
        assert set(rows[0]["effects"]) == {"lognormal", "heavy", "autocorrelated"}


@pytest.mark.parametrize(
    "argv",
    [
        ["emulate", "--k", "2"],
        ["emulate", "--inject", "slow_rank=8"],
        ["emulate", "--inject", "slow_share=-1"],
        ["emulate", "--inject", "stall_share=1.5"],
        ["emulate", "--inject", "stall_seconds=nan"],
        ["emulate", "--framework", "horovod", "--cycle-ms", "0.0005"],
        ["plan", "--bucket-mb", "1e10"],
        ["comm", "--seconds", "nan"],
    ],
)
def test_options_of_the_others_are_checked_as_well(argv, tmp_path, capsys):
    """64 and words, before anything is made."""
    assert main([*argv, "--out", str(tmp_path / "out")]) == 64
    err = capsys.readouterr().err
    assert "found" in err or "range" in err or "nan" in argv
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "argv",
    [
        ["plan", "--framework", "horovod", "--compression", "bf16"],
        ["emulate", "--compression", "bf16"],
    ],
)
def test_bfloat16_is_refused_where_no_library_has_it(argv, capsys):
    """Torch's hook wants NCCL, and Horovod 0.28.1 compresses to fp16 only."""
    assert main(argv) == 64
    assert "does not have it" in capsys.readouterr().err
