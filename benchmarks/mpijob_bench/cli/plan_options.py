"""The options that make a plan; ``plan``, ``run`` and ``emulate`` share them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from mpijob_bench.plan import (
    FEWEST_PAIRS,
    MODELS,
    NODES,
    PAIRS,
    TARGET,
    Curve,
    Options,
    Plan,
    Steps,
    Workload,
)
from mpijob_runtime.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])

# as schema/scaleplan-1.json
MOST_NODES, MOST_PAIRS, MOST_STEPS = 100_000, 1_000, 1_000_000
LARGEST, SHORTEST_CYCLE_MS = 1e9, 1e-3


class Finite(click.FloatRange):
    """A number in a range; neither infinite nor NaN, which a range alone lets pass."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not finite", param, ctx)
        return number


quiet_option = click.option("-q", "--quiet", is_flag=True, help="No progress.")

_OWNERS = {
    "bucket_mb": "ddp",
    "gradient_as_bucket_view": "ddp",
    "fusion_mb": "horovod",
    "cycle_ms": "horovod",
}
_OPTIONS = frozenset(field.name for field in fields(Options))
OF_MODELS = frozenset({"sizes", "batch", "ablation_steps", "framework"}) | _OPTIONS
"""Options that say how a model is trained; a program of the user's own decides that itself."""

_SAME = ("target", "nodes", "pairs", "extension", "seed", "reference_samples_per_second")

_WORKLOAD = (
    click.option("--size", "sizes", multiple=True, metavar="NAME=VALUE",
                 help="Change the model's size, to fit a CPU: layers=2. Repeatable."),
    click.option("--batch", type=click.IntRange(1), default=32, show_default=True, metavar="N",
                 help="Samples of a rank's step."),
)  # fmt: skip
_REDUCING = (
    click.option("--framework", type=click.Choice(("ddp", "horovod")), default="ddp",
                 show_default=True, help="Who reduces gradients."),
    click.option("--bucket-mb", type=Finite(0, LARGEST, min_open=True), metavar="MIB",
                 help="DDP's bucket_cap_mb.  [default: DDP's own: 25, the first one 1]"),
    click.option("--gradient-as-bucket-view", is_flag=True, help="DDP's flag."),
    click.option("--compression", type=click.Choice(("none", "fp16", "bf16")), default="none",
                 show_default=True, help="Of gradients on their way."),
    click.option("--fusion-mb", type=Finite(0, LARGEST), metavar="MIB",
                 help="HOROVOD_FUSION_THRESHOLD.  [default: Horovod's own, 128]"),
    click.option("--cycle-ms", type=Finite(SHORTEST_CYCLE_MS, LARGEST), metavar="MS",
                 help="HOROVOD_CYCLE_TIME.  [default: Horovod's own, 1]"),
    click.option("--accumulation", type=click.IntRange(1, MOST_STEPS), default=1, show_default=True,
                 metavar="N", help="Micro-steps of a step; the last one reduces."),
)  # fmt: skip
_DESIGN = (
    click.option("--target", type=Finite(0, 1, min_open=True), default=TARGET,
                 show_default=True, help="The efficiency that is asked for."),
    click.option("--nodes", type=click.IntRange(2, MOST_NODES), default=NODES, show_default=True,
                 help="Nodes of the job."),
    click.option("--pairs", type=click.IntRange(1, MOST_PAIRS), default=PAIRS, show_default=True,
                 help="Pairs of launches: nodes alone, and together."),
    click.option("--extend", "extension", type=click.IntRange(0, MOST_PAIRS), default=0,
                 show_default=True, metavar="PAIRS",
                 help="Further pairs, if those cannot tell; bounds then hold over both looks."),
    click.option("--seed", type=click.IntRange(0), default=1, show_default=True,
                 help="Of all that is random."),
    click.option("--reference", "reference_samples_per_second", metavar="RATE",
                 type=Finite(0, min_open=True),
                 help="Samples per second that all nodes should reach: shown, not judged."),
    click.option("--curve", metavar="N,N",
                 help="Further numbers of nodes, one launch each.  [default: 2,4 if fewer]"),
)  # fmt: skip


def with_options(*groups: tuple[Callable[[Any], Any], ...]) -> Callable[[Command], Command]:
    """Return a decorator that adds groups of options in their order."""

    def decorate(command: Command) -> Command:
        for option in reversed([option for group in groups for option in group]):
            command = option(command)
        return command

    return decorate


def steps_options(usual: Steps) -> tuple[Callable[[Any], Any], ...]:
    """Return the options of how many steps there are, with a command's own defaults."""
    return (
        click.option("--steps", "full_steps", type=click.IntRange(4, MOST_STEPS),
                     default=usual.full, show_default=True,
                     help="Steps of a launch that count; of a PROGRAM only for the estimate."),
        click.option("--ablation-steps", type=click.IntRange(4, MOST_STEPS),
                     default=usual.ablation, show_default=True,
                     help="Steps without, and with one element of, buckets."),
        click.option("--warmup", type=click.IntRange(2), default=usual.warmup, show_default=True,
                     help="Steps before those, at least."),
        click.option("--warmup-seconds", type=Finite(0), default=usual.warmup_seconds,
                     show_default=True, metavar="SECONDS", help="And at least for so long."),
    )  # fmt: skip


WORKLOAD, REDUCING, DESIGN = _WORKLOAD, _REDUCING, _DESIGN
MODEL = (
    click.option("--model", type=click.Choice(MODELS), help="A network to train."
                 "  [default: resnet50, without a PROGRAM]"),
    click.option("--transport", metavar="NAME",
                 help="What gradients must go over: tcp, ib, efa; any is no demand.  [default: tcp;"
                 " for a PROGRAM any, as only NCCL's log tells what it used]"),
)  # fmt: skip


def is_asked(context: click.Context, name: str) -> bool:
    """Return whether the command line or the environment gives an option."""
    source = context.get_parameter_source(name)
    return source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


def make_workload(
    kind: str, name: str, options: Mapping[str, Any], argv: tuple[str, ...] = ()
) -> Workload:
    """Return the workload that the command line asks for.

    Raises:
        UsageError: bfloat16 where no library has it, or an option of the other framework.
    """
    without = {"profile": "Gloo, and so an emulation,"}.get(kind)
    without = "Horovod" if options["framework"] == "horovod" else without
    if options["compression"] == "bf16" and without:
        message = f"--compression bf16: {without} does not have it"
        raise UsageError(message, remedy="--compression fp16; DDP over NCCL has bf16")
    refuse_the_others(options)
    return Workload(
        kind=kind,  # type: ignore[arg-type] # of the three
        name=name,
        size=parse_sizes(options.get("sizes", ())),
        batch=options.get("batch", 1),
        framework=options["framework"],
        options=Options(**{key: value for key, value in options.items() if key in _OPTIONS}),
        argv=argv,
    )


def refuse_the_others(options: Mapping[str, Any]) -> None:
    """Refuse what only the framework takes that was not chosen.

    Raises:
        UsageError: with the first of them.
    """
    framework = options["framework"]
    for name, owner in _OWNERS.items():
        if options[name] not in (None, False) and owner != framework:
            option = name.replace("_", "-")
            message = f"--{option} and --framework {framework}, which does not have it"
            raise UsageError(message, remedy=f"--framework {owner}, or leave it out")


def make_plan(workload: Workload, options: Mapping[str, Any], **further: Any) -> Plan:
    """Return the plan that the command line asks for.

    Raises:
        UsageError: if options do not fit together.
    """
    steps = Steps(
        warmup=options["warmup"],
        warmup_seconds=options["warmup_seconds"],
        full=options["full_steps"],
        ablation=options["ablation_steps"],
    )
    if options["extension"] and options["pairs"] < FEWEST_PAIRS:
        message = f"--extend and --pairs {options['pairs']}: found too few for a first look"
        raise UsageError(message, remedy=f"--pairs {FEWEST_PAIRS} or more")
    same = {key: options[key] for key in _SAME}
    curve = Curve(parse_curve(options["curve"], options["nodes"]))
    return Plan(workload=workload, steps=steps, curve=curve, **same, **further)


def parse_curve(text: str | None, nodes: int) -> tuple[int, ...]:
    """Return the numbers of nodes between one and all.

    Raises:
        UsageError: another number, or no number.
    """
    if text is None:
        return tuple(point for point in Curve().nodes if point < nodes)
    try:
        found = tuple(int(word) for word in text.split(",") if word.strip())
    except ValueError:
        found = (0,)
    if any(not 1 < point < nodes for point in found) or len(set(found)) < len(found):
        message = f"--curve: found {text!r}, wanted different numbers between 1 and {nodes}"
        raise UsageError(message, remedy="--curve 2,4, or --curve '' for none")
    return found


def parse_sizes(texts: tuple[str, ...]) -> dict[str, Any]:
    """Return the changes of a model's size; values are JSON.

    Raises:
        UsageError: no name and value.
    """
    from mpijob_bench.documents import strict_json

    sizes = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            sizes[name.strip()] = strict_json(value.encode())
        except ValueError as error:
            message = f"--size: found {text!r}, wanted a name and a number, such as layers=2"
            raise UsageError(message, remedy="mpijob-bench run --help") from error
    return sizes
