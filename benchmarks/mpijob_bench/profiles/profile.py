"""What a gradient-ready profile is, and its JSON file. Needs no torch.

profile = read_profile(shipped("resnet50"))
for gradient in profile.gradients: ...
"""

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

SCHEMA = "gradient-profile/1"
SCHEMA_FILE = "gradient-profile-1.json"
PACKAGE = "mpijob_bench"
Fidelity = Literal["measured", "modelled"]


@dataclass(frozen=True)
class Gradient:
    """One gradient.

    Attributes:
        name: The parameter's name in the network.
        elements: How many numbers it has.
        bytes: Its size as it is sent without compression.
        ready_seconds: When it is complete, from the start of the backward pass.
    """

    name: str
    elements: int
    bytes: int
    ready_seconds: float


@dataclass(frozen=True)
class Profile:
    """One training step of one network on one device, without communication.

    Attributes:
        model: The network's name in `mpijob_bench.models`.
        size: What differs from the published size of that network.
        fidelity: Where the times come from: a real device, or a model of one.
        device: The device in words.
        precision: The number format of matrix products: fp32, tf32, fp16 or bf16.
        batch_size: Samples of one step.
        forward_seconds: From the inputs on the device to the loss.
        backward_seconds: From there to the last gradient and the end of the pass.
        optimizer: The optimizer whose step was timed.
        optimizer_seconds: From there to the end of the optimizer's step.
        gradients: In the order in which they get ready.
        made_by: How the times were made; free facts, to be shown, not to be relied on.

    Raises:
        ValueError: The times do not fit together.
    """

    model: str
    size: Mapping[str, Any]
    fidelity: Fidelity
    device: str
    precision: str
    batch_size: int
    forward_seconds: float
    backward_seconds: float
    optimizer: str
    optimizer_seconds: float
    gradients: tuple[Gradient, ...]
    made_by: Mapping[str, Any]

    def __post_init__(self) -> None:
        ready = [gradient.ready_seconds for gradient in self.gradients]
        times = (self.forward_seconds, self.optimizer_seconds, *ready, self.backward_seconds)
        if not all(math.isfinite(seconds) and seconds >= 0 for seconds in times):
            raise ValueError("profile: found a time that is negative or not finite")
        if not (self.forward_seconds > 0 and self.backward_seconds > 0):
            raise ValueError("profile: found a pass that takes no time")
        if any(later < earlier for earlier, later in itertools.pairwise(times[2:])):
            raise ValueError(
                "profile: found a gradient that is ready before the one in front of it or after"
                " backward_seconds, wanted gradients in the order of ready_seconds"
            )
        names = {gradient.name for gradient in self.gradients}
        if not names or len(names) < len(self.gradients):
            raise ValueError("profile: found no gradients or one twice, wanted each once")

    @property
    def step_seconds(self) -> float:
        """The whole step: forward, backward, optimizer."""
        return self.accumulated_seconds(1)

    def accumulated_seconds(self, passes: float) -> float:
        """Return how long a step with so many forward and backward passes takes."""
        return passes * (self.forward_seconds + self.backward_seconds) + self.optimizer_seconds

    @property
    def gradient_bytes(self) -> int:
        """What one step sends without compression."""
        return sum(gradient.bytes for gradient in self.gradients)


def shipped(name: str) -> str:
    """Return the path of the profile that comes with this package for a network.

    Raises:
        ValueError: None does; the message names those that do.
    """
    folder = resources.files(PACKAGE) / "profiles" / "data"
    known = sorted(file.name.removesuffix(".json") for file in folder.iterdir())
    if name not in known:
        raise ValueError(f"profile: found {name!r}, wanted one of {', '.join(known)}, or a file")
    return str(folder / f"{name}.json")


def read_profile(path: str) -> Profile:
    """Read a profile from its JSON file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no profile; the message says what, where, and what is wanted.
    """
    with open(path, encoding="utf-8") as file:
        text = file.read()
    try:
        return parse_profile(text)
    except ValueError as error:
        raise ValueError(f"{path}: {error}\n  next: record or model the profile again") from error


def parse_profile(text: str) -> Profile:
    """Return the profile that a JSON text holds; checked against the published schema.

    Raises:
        ValueError: It is not JSON, not of the schema, or its times do not fit together.
    """
    from mpijob_bench.documents import schema_problems, strict_json  # heavy: only reading needs it

    fields: Any = strict_json(text.encode())
    if problems := schema_problems(fields, SCHEMA_FILE):
        raise ValueError(problems[0].describe("profile"))
    del fields["schema"]
    gradients = tuple(Gradient(**gradient) for gradient in fields.pop("gradients"))
    return Profile(**fields, gradients=gradients)


def format_profile(profile: Profile) -> str:
    """Return a profile as JSON, a line for each gradient; times are rounded to a nanosecond."""
    fields: dict[str, Any] = {"schema": SCHEMA, **vars(profile)}
    lines = [_line(vars(gradient)) for gradient in fields.pop("gradients")]
    head = ",\n".join(f" {json.dumps(name)}: {_line(value)}" for name, value in fields.items())
    gradients = ",\n  ".join(lines)
    return f'{{\n{head},\n "gradients": [\n  {gradients}\n ]\n}}\n'


def _line(value: object) -> str:
    return json.dumps(_rounded(value), allow_nan=False)


def _rounded(value: object) -> object:
    match value:
        case float():
            return round(value, 9)
        case Mapping():
            return {name: _rounded(item) for name, item in value.items()}
        case _:
            return value
