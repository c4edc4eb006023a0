import contextlib
import copy
import hashlib
import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpijob_bench.cli import main
from mpijob_bench.errors import ResultError
from mpijob_bench.result import parse_result, read_result, write_result
from mpijob_bench.verdict import judge


def pair(order, together, *, alone=(10.0, 10.0), status="ok"):
    """Return a pair of launches on two nodes."""
    return {"order": order, "alone": list(alone), "together": together, "status": status}


def make(**changes):
    """Return a result that passes, with changes."""
    result = {
        "schema": "scalebench/1",
        "fidelity": "measured",
        "plan": {"target": 0.85, "nodes": 2, "pairs": 3, "hash": "abc"},
        "pairs": [pair(0, 18.0), pair(1, 18.2), pair(2, 17.9)],
        "guards": [{"name": "G1", "ok": True, "value": 0.2, "limit": 1.0}],
        "transport": {"declared": "Socket", "observed": "Socket"},
        "wrong_elements": 0,
    }
    return copy.deepcopy(result | changes)


SLOW = [pair(0, 14.0), pair(1, 14.2), pair(2, 13.9)]
WIDE = [pair(0, 18.0), pair(1, 16.0), pair(2, 17.0)]
GUARD = [{"name": "G3", "ok": False, "value": 4.1, "limit": 3.0}]


@pytest.mark.parametrize(
    ("changes", "word", "clause"),
    [
        ({}, "PASS", "low 0.8889"),
        ({"pairs": SLOW}, "FAIL", "high"),
        ({"wrong_elements": 1}, "FAIL", "wrong elements"),
        ({"pairs": [*make()["pairs"], pair(3, None, status="failed")]}, "FAIL", "failed pairs"),
        ({"transport": {"declared": "IB", "observed": "Socket"}}, "FAIL", "transport"),
        ({"guards": GUARD}, "INVALID", "guard G3: found 4.1, limit 3"),
        ({"guards": GUARD, "pairs": SLOW}, "INVALID", "guard G3"),
        ({"guards": GUARD, "wrong_elements": 1}, "FAIL", "wrong elements"),
        ({"pairs": make()["pairs"][:2]}, "INVALID", "pairs: found 2"),
        ({"pairs": []}, "INVALID", "pairs: found 0"),
        ({"pairs": [pair(n, 20.6 + n / 10) for n in range(3)]}, "INVALID", "above 1.02"),
        ({"pairs": WIDE}, "INCONCLUSIVE", "between"),
        ({"transport": {"declared": "ib", "observed": None}}, "FAIL", "nothing proves"),
        ({"guards": [GUARD[0] | {"name": "a\n\x1b[31m" + "b" * 200}]}, "INVALID", "guard a??[31m"),
    ],
)
def test_each_clause_decides(changes, word, clause):
    """Every condition of the verdict turns it by itself."""
    verdict = judge(make(**changes))
    assert (verdict.word, verdict.clause.startswith(clause) or clause in verdict.clause) == (
        word,
        True,
    )


@pytest.mark.parametrize("fidelity", ["emulated", "predicted"])
def test_what_was_not_measured_says_so(fidelity):
    """No emulated pass can be mistaken for one of a cluster."""
    assert judge(make(fidelity=fidelity)).name == f"{fidelity.upper()}-PASS"


def test_the_interval_is_that_of_paired_log_ratios():
    """Against numbers worked out by hand: t(0.95, 2) = 2.920."""
    found = judge(make()).interval
    assert found.efficiency == pytest.approx(0.90165, abs=1e-5)
    assert found.low == pytest.approx(0.88888, abs=1e-5)
    assert found.high == pytest.approx(0.91460, abs=1e-5)


def test_an_extension_makes_bounds_wider():
    """Of two looks each has 97.5 %: t(0.975, 2) = 4.303."""
    found = judge(make(plan={**make()["plan"], "extension": 3})).interval
    assert found.efficiency == pytest.approx(0.90165, abs=1e-5)
    assert found.low == pytest.approx(0.88290, abs=1e-5)


@pytest.mark.parametrize(("count", "word"), [(3, "PASS"), (4, "INVALID"), (5, "PASS")])
def test_nobody_judges_between_the_looks(count, word):
    """To stop an extension where it pleases is to choose."""
    plan = {**make()["plan"], "extension": 2}
    pairs = [pair(number, 18.0 + number / 100) for number in range(count)]
    assert judge(make(plan=plan, pairs=pairs)).word == word


def test_absurd_numbers_are_short(tmp_path, capsys):
    """An efficiency of 1e300 has no three hundred digits."""
    pairs = [pair(n, 1e18, alone=(1e-280, 1e-280 * (1 + n))) for n in range(3)]
    (tmp_path / "result.json").write_text(json.dumps(make(pairs=pairs)))
    assert main(["gate", str(tmp_path / "result.json")]) == 4
    assert max(map(len, capsys.readouterr().out.splitlines())) < 140


@pytest.mark.parametrize(
    ("changes", "code"),
    [({}, 0), ({"pairs": SLOW}, 1), ({"pairs": WIDE}, 3), ({"guards": GUARD}, 4)],
)
def test_the_command_ends_with_the_verdicts_code(changes, code, tmp_path, capsys):
    """0, 1, 3, 4; and JSON with exactly the keys of the contract."""
    path = tmp_path / "result.json"
    path.write_text(json.dumps(make(**changes)))
    assert main(["gate", str(path), "--json"]) == code
    data = json.loads(capsys.readouterr().out)
    assert list(data) == ["verdict", "efficiency", "low", "high", "clause"]


def test_people_read_the_efficiency_with_its_bounds(tmp_path, capsys):
    """One line for the verdict, one for the numbers."""
    path = tmp_path / "result.json"
    path.write_text(json.dumps(make()))
    assert main(["gate", str(path)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("PASS: low")
    assert "E_node(2) = 90.2% (95 % bounds 88.9% and 91.5%), target 0.85, 3 pairs" in second


def test_exactly_the_target_is_reached(tmp_path):
    """Equal pairs have no spread, and rounding in a logarithm is no efficiency."""
    for target in (0.7, 0.8, 0.85, 0.9, 0.95):
        for rate in (97.3, 10.0, 123.4):
            pairs = [pair(n, 2 * rate * target, alone=(rate, rate)) for n in range(3)]
            plan = make()["plan"] | {"target": target}
            assert judge(make(pairs=pairs, plan=plan)).word == "PASS", (target, rate)


def test_102_percent_is_not_above_it():
    """The same for the other limit."""
    pairs = [pair(n, 2 * 97.3 * 1.02, alone=(97.3, 97.3)) for n in range(3)]
    assert judge(make(pairs=pairs)).word == "PASS"


def test_a_spread_beyond_all_numbers_has_no_bounds(tmp_path, capsys):
    """Rates that no job has are judged all the same, and JSON has no infinity."""
    pairs = [pair(0, 1e-300, alone=(1.0, 1.0)), *(pair(n, 1e18, alone=(1.0, 1.0)) for n in (1, 2))]
    path = tmp_path / "result.json"
    path.write_text(json.dumps(make(pairs=pairs)))
    assert main(["gate", str(path), "--json"]) == 3
    data = json.loads(capsys.readouterr().out)
    assert (data["low"], data["high"]) == (None, None)
    assert main(["gate", str(path)]) == 3
    assert "no bounds from so few pairs" in capsys.readouterr().out


@pytest.mark.parametrize(("command", "codes"), [("gate", {0}), ("explain", {0, 141})])
def test_a_reader_that_has_gone_makes_no_other_verdict(command, codes, tmp_path):
    """``gate … | head -0`` must not end with 1, which is FAIL."""
    path = tmp_path / "result.json"
    path.write_text(json.dumps(make()))
    reading, writing = os.pipe()
    os.close(reading)
    argv = (sys.executable, "-m", "mpijob_bench", command, str(path))
    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run(argv, stdout=closed, stderr=subprocess.PIPE, check=False)
    assert done.returncode in codes
    assert done.stderr == b""


def test_a_full_disk_is_no_bug_of_ours(tmp_path):
    """/dev/full takes nothing."""
    path = tmp_path / "result.json"
    path.write_text(json.dumps(make()))
    argv = (sys.executable, "-m", "mpijob_bench", "gate", str(path))
    with open("/dev/full", "wb") as full:
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 78
    assert "No space left" in done.stderr
    assert "bug" not in done.stderr


BAD = {
    "NaN": (b'{"schema": NaN}', "NaN"),
    "cut off": (json.dumps(make()).encode()[:200], "JSON, all of it"),
    "empty": (b"", "JSON, all of it"),
    "binary": (b"\x93NUMPY\x00\xff", "JSON"),
    "a list": (b"[]", "object"),
    "deep": (b"[" * 100_000, "JSON"),
    "other schema": (json.dumps(make(schema="scalebench/2")).encode(), "'scalebench/1'"),
    "negative": (json.dumps(make(pairs=[pair(0, -1)])).encode(), "pairs[0].together"),
    "zero alone": (json.dumps(make(pairs=[pair(0, 1, alone=(0, 1))])).encode(), "more than 0"),
    "a missing node": (json.dumps(make(pairs=[pair(0, 1, alone=(1,))])).encode(), "2 nodes"),
    "mixed": (
        json.dumps(make(pairs=[pair(0, 18.0) | {"fidelity": "emulated"}])).encode(),
        "do not mix",
    ),
    "one order twice": (json.dumps(make(pairs=[pair(0, 18.0), pair(0, 18.0)])).encode(), "order"),
    "no plan": (json.dumps({k: v for k, v in make().items() if k != "plan"}).encode(), "plan"),
    "infinite": (json.dumps(make()).replace("18.0", "1e999").encode(), "beyond any"),
    "huge": (json.dumps(make()).replace("18.0", "1" + "0" * 400).encode(), "401 digits"),
    "no ratio": (json.dumps(make(pairs=[pair(0, 1e18, alone=(5e-324, 5e-324))])).encode(), "ratio"),
    "a key twice": (json.dumps(make()).replace("{", '{"wrong_elements": 5, ', 1).encode(), "twice"),
    "a sweep from elsewhere": (json.dumps(make(comm={"fidelity": "emulated"})).encode(), "mix"),
    "a launch from elsewhere": (
        json.dumps(make(launches=[{"fidelity": "predicted"}])).encode(),
        "launches[0].fidelity",
    ),
    "half a character": (json.dumps(make(note="\ud800")).encode(), "JSON in UTF-8"),
    "other text": (json.dumps(make()).encode("utf-16"), "JSON in UTF-8"),
    "an emulated guard": (
        json.dumps(make(guards=[GUARD[0] | {"fidelity": "emulated"}])).encode(),
        "guards[0].fidelity",
    ),
    "too many pairs": (
        json.dumps(make(pairs=[pair(n, 18.0) for n in range(10_001)])).encode(),
        "10001 items",
    ),
    "emulated in secret": (json.dumps(make(emulation={"k": 200})).encode(), "emulation"),
}


@pytest.mark.parametrize(("data", "word"), BAD.values(), ids=BAD)
def test_a_wrong_file_is_refused_with_its_place(data, word, tmp_path, capsys):
    """65 and words, never a traceback or a verdict."""
    path = tmp_path / "result.json"
    path.write_bytes(data)
    assert main(["gate", str(path)]) == 65
    out, err = capsys.readouterr()
    assert out == ""
    assert str(path) in err
    assert word in err
    assert "Traceback" not in err


def test_a_missing_file_is_refused(tmp_path, capsys):
    """The same for a path that is none."""
    assert main(["gate", str(tmp_path / "none.json")]) == 65
    assert "No such file" in capsys.readouterr().err


def test_what_is_no_file_is_refused_at_once(tmp_path, capsys):
    """A named pipe would be waited for without end; a device has none."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, "/dev/zero"):
        assert main(["gate", str(path)]) == 65
        assert "no regular file" in capsys.readouterr().err
    assert main(["gate", ""]) == 65
    assert "''" in capsys.readouterr().err


@pytest.mark.parametrize(("content", "code"), [(b"plan", 0), (b"other plan", 65)])
def test_a_result_can_be_held_against_its_plan(content, code, tmp_path, capsys):
    """The hash is looked at only if the plan is given."""
    (tmp_path / "plan.json").write_bytes(content)
    plan = make()["plan"] | {"hash": hashlib.sha256(b"plan").hexdigest()}
    path = tmp_path / "result.json"
    path.write_text(json.dumps(make(plan=plan)))
    assert main(["gate", str(path), "--plan", str(tmp_path / "plan.json")]) == code
    assert ("plan.hash" in capsys.readouterr().err) == (code == 65)


@pytest.mark.parametrize(("target", "code"), [(0.85, 0), (0.9, 65)])
def test_a_target_that_was_lowered_is_no_longer_the_plans(target, code, tmp_path, capsys):
    """With the hash left as it was."""
    plan = {"target": target, "nodes": 2, "pairs": 3}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    found = make()["plan"] | {
        "hash": hashlib.sha256((tmp_path / "plan.json").read_bytes()).hexdigest()
    }
    path = tmp_path / "result.json"
    path.write_text(json.dumps(make(plan=found)))
    assert main(["gate", str(path), "--plan", str(tmp_path / "plan.json")]) == code
    assert ("plan.target" in capsys.readouterr().err) == (code == 65)


@pytest.mark.parametrize(("declared", "code"), [({}, 65), ({"extension": 2}, 0)])
def test_an_extension_that_was_added_is_no_longer_the_plans(declared, code, tmp_path, capsys):
    """A plan that has none says so by having none."""
    (tmp_path / "plan.json").write_text(json.dumps(declared))
    digest = hashlib.sha256((tmp_path / "plan.json").read_bytes()).hexdigest()
    found = make()["plan"] | {"hash": digest, "extension": 2}
    path = tmp_path / "result.json"
    path.write_text(json.dumps(make(plan=found)))
    assert main(["gate", str(path), "--plan", str(tmp_path / "plan.json")]) == code
    assert ("plan.extension" in capsys.readouterr().err) == (code == 65)


def test_unknown_keys_are_kept(tmp_path):
    """What others put into a result is there after reading and writing."""
    path = str(tmp_path / "result.json")
    write_result(path, make(cluster={"nic": "mlx5_0"}))
    assert read_result(path)["cluster"] == {"nic": "mlx5_0"}


def test_a_wrong_result_is_not_written(tmp_path):
    """The file that is there stays."""
    path = tmp_path / "result.json"
    write_result(str(path), make())
    before = path.read_bytes()
    with pytest.raises(ResultError):
        write_result(str(path), make(wrong_elements=-1))
    with pytest.raises(ResultError):
        write_result(str(path), make(note=float("nan")))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.sampled_from(sorted(make())), JSON)
def test_any_value_in_any_place_is_judged_or_refused(key, value):
    """No file makes the gate break."""
    with contextlib.suppress(ResultError):
        assert judge(parse_result(json.dumps(make(**{key: value})).encode())).word
