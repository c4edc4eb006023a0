import json

import pytest

from mpijob_bench.models import TINY
from mpijob_bench.profiles.profile import Gradient, Profile
from mpijob_bench.profiles.record import main

QUICK = ("--device", "cpu", "--batch-size", "2", "--warm-up", "1", "--steps", "3")


def recorded(path, model, *words):
    """Record a tiny network and return what the file holds; reading needs no torch, see unit."""
    size = [f"--set={name}={value}" for name, value in TINY[model].items()]
    main([model, *QUICK, *size, *words, f"--output={path}"])
    fields = json.loads(path.read_text())
    del fields["schema"]
    gradients = tuple(Gradient(**gradient) for gradient in fields.pop("gradients"))
    return Profile(**fields, gradients=gradients)


@pytest.mark.parametrize("model", TINY)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_recorded_profile_is_one(model, precision, tmp_path):
    """Real steps on this CPU: each gradient in time, from the last layer to the first."""
    profile = recorded(tmp_path / "profile.json", model, f"--precision={precision}")
    assert profile.fidelity == "measured"
    assert "CPU" in profile.device
    assert profile.precision == precision
    assert all(gradient.bytes == 4 * gradient.elements for gradient in profile.gradients)
    assert 0 < profile.gradients[0].ready_seconds < profile.gradients[-1].ready_seconds
    first = {"resnet50": "stem.0", "vgg16": "stages.0", "bert-large": "tokens", "gpt2": "tokens"}
    assert profile.gradients[-1].name.startswith(first[model])


def test_the_file_tells_its_spread(tmp_path):
    """Steps with and without marks are compared; nothing is a bare median."""
    made_by = recorded(tmp_path / "profile.json", "resnet50", "--channels-last").made_by
    step = made_by["step_seconds"]
    assert step["low_quartile"] <= step["median"] <= step["high_quartile"]
    ratio = step["median"] / made_by["step_seconds_without_marks"]["median"]
    assert made_by["cost_of_marks"] == pytest.approx(ratio - 1, abs=1e-4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--device=cuda",), "torch finds no GPU"),
        (("--steps=1",), "--steps 2 or more"),
        (("--batch-size=0",), "--batch-size of 1 or more"),
        (("--precision=tf32",), "a CPU has fp32 and bf16 only"),
        (("--channels-last",), "gpt2 has no images"),
        (("--set=layers",), "wanted like layers=2"),
        (("--set=colour=1",), "size of gpt2: found colour"),
        (("--output=/nowhere/file",), "there is no folder /nowhere"),
    ],
)
def test_bad_options_are_refused_before_any_step(words, message, tmp_path, capsys):
    """Exit code 2 and a sentence, no traceback."""
    with pytest.raises(SystemExit) as caught:
        main(["gpt2", *QUICK, f"--output={tmp_path}/profile.json", *words])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
