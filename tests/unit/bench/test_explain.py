import json

import pytest
from hand_made_results import Recipe, result_of, write_results

from mpijob_bench.cli import main
from mpijob_bench.forecast import forecast
from mpijob_bench.predict import predict


def explained(directory, capsys, *options):
    """Return what ``explain --json`` says of a result."""
    assert main(["explain", str(directory / "result.json"), "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


def test_json_has_everything(tmp_path, capsys):
    """Points that add up, the prediction beside the measured E, and what-ifs."""
    write_results(tmp_path, Recipe(steps=0))
    found = explained(tmp_path, capsys)
    lost = sum(term["points"] for term in found["attribution"])
    assert lost == pytest.approx(1 - found["efficiency"])
    predicted = found["prediction"]["efficiency"]
    assert found["difference"] == pytest.approx(predicted - found["efficiency"])
    assert len(found["prediction"]["buckets"]) == 5
    assert {"bandwidth x2", "batch x2"} <= {one["name"] for one in found["what_if"]}


def test_the_prediction_never_looks_at_launches_of_several_nodes(tmp_path, capsys):
    """Whatever those took, it is the same."""
    found = []
    for transfer in (0.95, 0.5):
        write_results(tmp_path, Recipe(steps=0, transfer=transfer))
        found.append(explained(tmp_path, capsys)["prediction"]["efficiency"])
    assert found[0] == found[1]


def test_by_alpha_and_b_alone_what_was_measured_does_not_count(tmp_path, capsys):
    """Sizes that take ten times the line's time change the prediction, and not the line's."""
    found = []
    for factor in (1, 10):
        comm = result_of(Recipe())["comm"]
        for row in comm["results"]:
            row["seconds"] = {name: factor * value for name, value in row["seconds"].items()}
        write_results(tmp_path, Recipe(steps=0, changes={"comm": comm}))
        found.append(explained(tmp_path, capsys))
    assert found[0]["efficiency_by_line"] == found[1]["efficiency_by_line"]
    assert found[0]["prediction"]["efficiency"] > found[1]["prediction"]["efficiency"] + 0.01


def sweep_of(directory, recipe):
    """Write the sweep of another result and return its path."""
    comm = result_of(recipe)["comm"] | {"schema": "comm/1", "fidelity": recipe.fidelity}
    (directory / "comm.json").write_text(json.dumps(comm))
    return str(directory / "comm.json")


def test_another_sweep_predicts_for_the_ranks_of_the_result(tmp_path, capsys):
    """A sweep of 16 ranks on the same network: 8 ranks have less to wait for."""
    result = result_of(Recipe(steps=0, noise=0.0))
    launches = [one | {"ranks": one["nodes"]} for one in result["launches"]]
    write_results(tmp_path, Recipe(steps=0, noise=0.0, changes={"launches": launches}))
    sweep = sweep_of(tmp_path, Recipe(nodes=16, noise=0.0))
    own, other = explained(tmp_path, capsys), explained(tmp_path, capsys, "--comm", sweep)
    wanted = own["prediction"]["efficiency"]
    assert other["prediction"]["efficiency"] == pytest.approx(wanted, abs=0.002)


def test_a_sweep_of_another_fidelity_is_refused(tmp_path, capsys):
    """An emulation is slower than any network that was measured."""
    write_results(tmp_path, Recipe(steps=0, fidelity="emulated"))
    sweep = sweep_of(tmp_path, Recipe())
    assert main(["explain", str(tmp_path / "result.json"), "--comm", sweep]) == 65
    assert "fidelities do not mix" in capsys.readouterr().err


def test_wishes_replace_the_usual_changes(tmp_path, capsys):
    """As they were written."""
    write_results(tmp_path, Recipe(steps=0))
    found = explained(tmp_path, capsys, "--what-if", "bandwidth=2", "--what-if", "batch=4")
    assert [one["name"] for one in found["what_if"]] == ["bandwidth=2", "batch=4"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"comm": None}, "no sweep of allreduce"),
        ({"workload": {"kind": "command", "argv": ["x"]}}, "program of the user's own"),
        ({"workload": {"kind": "model", "name": "gpt2", "size": {"layers": 2}}}, "another size"),
        ({"workload": {"kind": "model", "name": "gpt2-xl"}}, "no profile of gpt2-xl is shipped"),
        ({"launches": []}, "no step time of nodes alone"),
    ],
)
def test_why_there_is_no_prediction_is_said(changes, why):
    """And nothing is guessed."""
    found = forecast(result_of(Recipe()) | changes)
    assert found.setup is None
    assert why in found.basis


def test_no_fusion_is_not_the_usual_fusion():
    """A threshold of 0 sends every gradient by itself."""
    setups = [
        forecast(result_of(Recipe()) | {"workload": workload(fusion_mb=size)}).setup
        for size in (0, None)
    ]
    assert [setup.fusion_mb for setup in setups] == [0.0, 128.0]
    alone, fused = (predict(setup) for setup in setups)
    assert len(alone.timeline) > len(fused.timeline)


def workload(**options):
    """Return ResNet-50 by Horovod."""
    return {"kind": "model", "name": "resnet50", "framework": "horovod", "options": options}


def test_an_emulation_is_predicted_at_its_scales():
    """Times are multiplied, sizes divided; the measured step is not asked."""
    setup = forecast(result_of(Recipe(fidelity="emulated"))).setup
    assert (setup.time_scale, setup.byte_scale) == (4.0, 16.0)


def test_a_real_step_stretches_the_profile():
    """Its length is the measured one of nodes alone."""
    setup = forecast(result_of(Recipe(noise=0.0, step_seconds=0.2))).setup
    assert setup.profile.step_seconds * setup.time_scale == pytest.approx(0.2)


def test_the_terminal_shows_terms_prediction_and_what_ifs(tmp_path, capsys):
    """For people."""
    write_results(tmp_path, Recipe(steps=0))
    assert main(["explain", str(tmp_path / "result.json")]) == 0
    text = capsys.readouterr().out
    for part in ("load balance", "Prediction", "points from the measured one", "What if"):
        assert part in text


@pytest.mark.parametrize(
    ("options", "code"),
    [(("--what-if", "speed=2"), 64), (("--profile", "/nowhere"), 65)],
)
def test_bad_options_are_said(tmp_path, capsys, options, code):
    """Without a traceback."""
    write_results(tmp_path, Recipe(steps=0))
    assert main(["explain", str(tmp_path / "result.json"), *options]) == code
    assert "Traceback" not in capsys.readouterr().err
