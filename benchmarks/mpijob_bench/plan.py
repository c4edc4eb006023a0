"""What is going to be measured, decided before the first launch. Pure but for reading a file.

A plan is a file, and its hash is the SHA-256 of its bytes: whoever changes it after a look at the
results has another plan. Its form is schema/scaleplan-1.json.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mpijob_bench.errors import ResultError
from mpijob_runtime.errors import Problem

SCHEMA = "scaleplan/1"
_SCHEMA_FILE = "scaleplan-1.json"
_REMEDY = "mpijob-bench plan writes one"

Framework = Literal["ddp", "horovod"]
Compression = Literal["none", "fp16", "bf16"]
Fidelity = Literal["measured", "emulated"]

MODELS = ("resnet50", "vgg16", "bert-large", "gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl")
PROFILES = ("resnet50", "vgg16", "bert-large", "gpt2")

TARGET = 0.85
NODES = 8
FUSION_MB = 128.0
"""Horovod 0.28.1's default fusion threshold, in MiB."""

CYCLE_MS = 1.0
"""Horovod 0.28.1's default cycle time."""

FEWEST_PAIRS = 3
"""Of a verdict: fewer are INVALID, also at the first look of a plan with an extension."""

PAIRS = 7
"""Half as wide an interval as 3 pairs have; benchmark-method: power in power.py."""


@dataclass(frozen=True)
class Options:
    """How gradients are reduced; None is the library's own default.

    Attributes:
        bucket_mb: DDP's bucket_cap_mb, in MiB. Its default is 25, with a first bucket of 1.
        gradient_as_bucket_view: DDP's.
        compression: of gradients on their way.
        fusion_mb: HOROVOD_FUSION_THRESHOLD, in MiB; its default is FUSION_MB.
        cycle_ms: HOROVOD_CYCLE_TIME; its default is CYCLE_MS.
        accumulation: micro-steps of a step; only the last one reduces.
    """

    bucket_mb: float | None = None
    gradient_as_bucket_view: bool = False
    compression: Compression = "none"
    fusion_mb: float | None = None
    cycle_ms: float | None = None
    accumulation: int = 1


@dataclass(frozen=True)
class Workload:
    """What a step is.

    Attributes:
        kind: ``model``: a network of mpijob_bench.models; ``profile``: waits at the times of a
            gradient-ready profile; ``command``: the user's program, which prints its steps.
        name: of the model or profile; of the program.
        size: changes of the model's size.
        batch: samples of a rank's step.
        framework: who reduces gradients.
        options: how.
        argv: of the user's program.
    """

    kind: Literal["model", "profile", "command"]
    name: str
    size: Mapping[str, Any] = field(default_factory=dict)
    batch: int = 32
    framework: Framework = "ddp"
    options: Options = field(default_factory=Options)
    argv: tuple[str, ...] = ()


@dataclass(frozen=True)
class Steps:
    """How many steps of a launch.

    Attributes:
        warmup: at least so many before each block; they are recorded, and not counted.
        warmup_seconds: and for at least so long.
        full: in a block with whole gradients. At least 200, or 60 s, tell enough of a launch.
        ablation: in a block without communication, and in one with one element a bucket.
    """

    warmup: int = 20
    warmup_seconds: float = 30.0
    full: int = 200
    ablation: int = 50


@dataclass(frozen=True)
class Inject:
    """A known fault, to see whether it shows where it should.

    Attributes:
        slow_rank: this rank computes longer …
        slow_share: … by this share.
        hook_delay_seconds: before each bucket is sent.
        stall_seconds: a loader that makes a rank wait …
        stall_share: … in this share of its steps, at random.
        wrong_elements: added to a gradient of rank 0.
    """

    slow_rank: int = 0
    slow_share: float = 0.0
    hook_delay_seconds: float = 0.0
    stall_seconds: float = 0.0
    stall_share: float = 0.0
    wrong_elements: int = 0


@dataclass(frozen=True)
class Emulation:
    """Eight nodes on one machine: what stands for what.

    Attributes:
        network: what is emulated, in bits a second.
        byte_scale: gradients are smaller by this factor.
        time_scale: computing takes longer by this factor.
        jitter_cv: coefficient of variation of a rank's computing from step to step.
        inject: known faults.
    """

    network_bits_per_second: float
    byte_scale: float
    time_scale: float
    jitter_cv: float = 0.0
    inject: Inject = field(default_factory=Inject)

    @property
    def k(self) -> float:
        """By what the links are slower: bytes a second scale with both."""
        return self.byte_scale * self.time_scale

    @property
    def link_bits_per_second(self) -> float:
        """What each link is shaped to."""
        return self.network_bits_per_second / self.k


@dataclass(frozen=True)
class Curve:
    """Further numbers of nodes, for the curve; the gate does not look at them.

    Attributes:
        nodes: between one and all of them.
        launches: of each.
    """

    nodes: tuple[int, ...] = (2, 4)
    launches: int = 1


@dataclass(frozen=True)
class Plan:
    """All that is decided before the first launch.

    Attributes:
        workload: what a step is.
        fidelity: of what comes out.
        target: the efficiency that is asked for.
        nodes: of the job.
        pairs: of launches: nodes alone, and together.
        extension: further pairs, if the numbers of the first ones are inconclusive. Declared
            before the first launch, so that nobody adds pairs until it passes.
        seed: of all that is random.
        curve: further points.
        steps: of each launch.
        reference_samples_per_second: that all nodes together should reach; shown, not judged.
        transport: that is wanted: ``tcp``, ``ib``, …; None does not ask for one.
        emulation: None on real nodes.
    """

    workload: Workload
    fidelity: Fidelity = "measured"
    target: float = TARGET
    nodes: int = NODES
    pairs: int = PAIRS
    extension: int = 0
    seed: int = 1
    curve: Curve = field(default_factory=Curve)
    steps: Steps = field(default_factory=Steps)
    transport: str | None = "tcp"
    reference_samples_per_second: float | None = None
    emulation: Emulation | None = None


def format_plan(plan: Plan) -> str:
    """Return the plan's file; the same plan gives the same bytes."""
    return json.dumps({"schema": SCHEMA, **dataclasses.asdict(plan)}, indent=1) + "\n"


def plan_hash(text: str) -> str:
    """Return what stands for a plan's file in a result."""
    return hashlib.sha256(text.encode()).hexdigest()


def read_plan(path: str) -> tuple[Plan, str]:
    """Return a plan and its file's text.

    Raises:
        ResultError: if it cannot be read or is none; with every problem in it.
    """
    from mpijob_bench.documents import read_bytes

    data = read_bytes(path, wanted="a plan", remedy=_REMEDY)
    plan = parse_plan(data, path=path)
    return plan, data.decode()  # its bytes are what the hash is of


def parse_plan(data: bytes, *, path: str = "plan") -> Plan:
    """Return the plan in a file's bytes.

    Raises:
        ResultError: if it is none; with every problem in it.
    """
    from mpijob_bench.documents import parse_document  # heavy, and ranks get a checked plan

    found = parse_document(data, schema_file=_SCHEMA_FILE, path=path, remedy=_REMEDY)
    problems = []
    if any(not 1 < nodes < found["nodes"] for nodes in found["curve"]["nodes"]):
        wanted = f"numbers between 1 and {found['nodes']}"
        problems.append(Problem(0, str(found["curve"]["nodes"]), wanted, "curve.nodes"))
    if (found["emulation"] is None) != (found["fidelity"] == "measured"):
        wanted = "emulated with an emulation, measured without"
        problems.append(Problem(0, repr(found["fidelity"]), wanted, "fidelity"))
    if found.get("extension") and found["pairs"] < FEWEST_PAIRS:
        wanted = f"at least {FEWEST_PAIRS} with an extension, so that a first look can tell"
        problems.append(Problem(0, str(found["pairs"]), wanted, "pairs"))
    problems += _workload_problems(found["workload"], emulated=found["emulation"] is not None)
    if problems:
        raise ResultError(path, problems, remedy=_REMEDY)
    return checked_plan(found)


def _workload_problems(workload: Mapping[str, Any], *, emulated: bool) -> Iterator[Problem]:
    """Yield what no launch could do."""
    kind, name = workload["kind"], workload["name"]
    known = {"profile": PROFILES, "model": MODELS}.get(kind, (name,))
    if (kind == "profile") != emulated:
        wanted = "a profile with an emulation, a model or a command without"
        yield Problem(0, repr(kind), wanted, "workload.kind")
    if name not in known:
        yield Problem(0, repr(name), f"one of {', '.join(known)}", "workload.name")
    if (kind == "command") != bool(workload["argv"]):
        wanted = "words of a command, and none without one"
        yield Problem(0, repr(workload["argv"]), wanted, "workload.argv")
    if workload["framework"] == "horovod" and workload["options"]["compression"] == "bf16":
        wanted = "fp16 or none with Horovod, which has no other"
        yield Problem(0, "'bf16'", wanted, "workload.options.compression")


def checked_plan(found: Mapping[str, Any]) -> Plan:
    """Return the plan in a JSON object that was checked before."""
    fields = {name: value for name, value in found.items() if name != "schema"}
    workload = dict(fields.pop("workload"))
    emulation = fields.pop("emulation")
    curve = fields.pop("curve")
    return Plan(
        **{**fields, "steps": Steps(**fields["steps"])},
        workload=Workload(
            **{
                **workload,
                "options": Options(**workload["options"]),
                "argv": tuple(workload["argv"]),
            }
        ),
        emulation=emulation and Emulation(**{**emulation, "inject": Inject(**emulation["inject"])}),
        curve=Curve(tuple(curve["nodes"]), curve["launches"]),
    )
