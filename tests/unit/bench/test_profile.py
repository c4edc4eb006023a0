import dataclasses
import json

import pytest

from mpijob_bench.profiles import Gradient, Profile, read_profile, shipped
from mpijob_bench.profiles.profile import format_profile, parse_profile

PARAMETERS = {
    "resnet50": 25_557_032,
    "vgg16": 138_357_544,
    "bert-large": 335_174_458,
    "gpt2": 124_439_808,
}
HAND_MADE = Profile(
    model="gpt2",
    size={"layers": 2},
    fidelity="measured",
    device="none, hand-made",
    precision="fp32",
    batch_size=4,
    forward_seconds=0.25,
    backward_seconds=0.5,
    optimizer="SGD",
    optimizer_seconds=0.125,
    gradients=(Gradient("b", 3, 12, 0.125), Gradient("a", 5, 20, 0.5)),
    made_by={"steps": 2},
)


def changed(**fields):
    """Return the JSON of the hand-made profile with other fields."""
    return json.dumps(json.loads(format_profile(HAND_MADE)) | fields)


def test_a_profile_survives_its_file():
    """Format and parse are inverses."""
    assert parse_profile(format_profile(HAND_MADE)) == HAND_MADE


def test_sums():
    """The step is all of its parts, the bytes are all gradients'."""
    assert HAND_MADE.step_seconds == 0.875
    assert HAND_MADE.gradient_bytes == 32


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_shipped_profile_is_valid_complete_and_labelled(name):
    """Every parameter of the published network has its gradient, in fp32; nothing is measured."""
    profile = read_profile(shipped(name))
    assert sum(gradient.elements for gradient in profile.gradients) == PARAMETERS[name]
    assert profile.gradient_bytes == 4 * PARAMETERS[name]
    assert profile.fidelity == "modelled"
    assert 0 < profile.gradients[0].ready_seconds < profile.backward_seconds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "Expecting property name"),
        ("[]", "found [], wanted object"),
        (changed(schema="gradient-profile/2"), "profile: schema: found"),
        (changed(batch_size=0), "profile: batch_size: found"),
        (changed(fidelity="guessed"), "profile: fidelity: found"),
        (changed(forward_seconds=-1), "profile: forward_seconds: found"),
        (changed(forward_seconds=float("nan")), "NaN, which is no number"),
        (changed(backward_seconds=0.3), "after backward_seconds"),
        (changed(gradients=[]), "profile: gradients: found"),
        (changed(gradients=[{"name": "a"}]), "gradients[0]: found"),
        (changed(colour="red"), "colour"),
    ],
)
def test_what_is_no_profile_is_refused(text, words, tmp_path):
    """The message names the file, the place and what is wrong."""
    path = tmp_path / "profile.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="next: record") as caught:
        read_profile(str(path))
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("gradients", [HAND_MADE.gradients[::-1], HAND_MADE.gradients[:1] * 2, ()])
def test_gradients_stand_once_and_in_order(gradients):
    """A profile in a wrong order cannot be made."""
    with pytest.raises(ValueError, match="profile: found"):
        dataclasses.replace(HAND_MADE, gradients=gradients)


def test_an_unknown_name_tells_the_known_ones():
    """The message is what a user needs next."""
    with pytest.raises(ValueError, match="wanted one of bert-large, gpt2, resnet50, vgg16"):
        shipped("resnet51")
