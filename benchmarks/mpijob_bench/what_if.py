"""What another setting would bring, by the model: 16-bit gradients, accumulation, bandwidth, ….

Layer: pure; imports errors, predict.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mpijob_bench.predict import COMPRESSION_RATIO, Prediction, Setup, predict
from mpijob_runtime.errors import UsageError

BUCKETS_MB = (5.0, 10.0, 25.0, 50.0, 100.0)
_LARGEST = 1e6
_KEYS = "compression, accumulation, bandwidth, batch, bucket_mb, fusion_mb"


@dataclass(frozen=True, slots=True)
class Change:
    """A setting to try.

    Attributes:
        name: in words.
        term: the factor of the attribution that it acts on.
        setup: with the change made.
    """

    name: str
    term: str
    setup: Setup


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a change would bring.

    Attributes:
        name: of the change.
        term: the factor of the attribution that it acts on.
        prediction: with it.
        delta: its efficiency less that of the setting as it is.
    """

    name: str
    term: str
    prediction: Prediction
    delta: float


def outcomes(setup: Setup, changes: tuple[Change, ...]) -> tuple[Outcome, ...]:
    """Return what each change would bring."""
    now = predict(setup).efficiency
    tried = ((change, predict(change.setup)) for change in changes)
    return tuple(Outcome(one.name, one.term, new, new.efficiency - now) for one, new in tried)


def usual_changes(setup: Setup) -> tuple[Change, ...]:
    """Return the changes that are always worth a look, none that is the setting as it is."""
    every = (*_of_bytes(setup), *_of_buckets(setup))
    return tuple(change for change in every if change.setup != setup)


def _of_bytes(setup: Setup) -> Iterator[Change]:
    bits = replace(setup, compression=max(setup.compression, 2.0))
    yield Change("16-bit gradients (fp16 or bf16)", "transfer", bits)
    for times in (2, 4):
        fast = replace(setup.allreduce, speedup=setup.allreduce.speedup * times)
        yield Change(f"bandwidth x{times}", "transfer", replace(setup, allreduce=fast))
    for times in (2, 4, 8):
        more = replace(setup, accumulation=setup.accumulation * times)
        yield Change(f"accumulation of {more.accumulation} passes", "all but compute", more)
    yield Change("batch x2", "all but compute", replace(setup, batch_scale=setup.batch_scale * 2))


def _of_buckets(setup: Setup) -> Iterator[Change]:
    for size in BUCKETS_MB:
        if setup.framework == "horovod":
            yield Change(f"fusion of {size:g} MiB", "transfer", replace(setup, fusion_mb=size))
        else:
            yield Change(f"buckets of {size:g} MiB", "transfer", replace(setup, bucket_mb=size))
    if setup.framework == "ddp":
        yield Change("buckets as DDP's default", "transfer", replace(setup, bucket_mb=None))


def parse_change(text: str, setup: Setup) -> Change:
    """Return the change that a word like ``compression=fp16,bucket_mb=50`` asks for.

    Raises:
        UsageError: if it is none.
    """
    changed = setup
    for part in text.split(","):
        key, _, value = part.strip().partition("=")
        changed = _changed(changed, key.strip(), value.strip(), text)
    return Change(text, "", changed)


def _changed(setup: Setup, key: str, value: str, text: str) -> Setup:
    if key == "compression" and value in COMPRESSION_RATIO:
        return replace(setup, compression=COMPRESSION_RATIO[value])
    number = _number(value, text)
    match key:
        case "accumulation" if number == int(number):
            return replace(setup, accumulation=int(number))
        case "bandwidth":
            fast = replace(setup.allreduce, speedup=setup.allreduce.speedup * number)
            return replace(setup, allreduce=fast)
        case "batch":
            return replace(setup, batch_scale=setup.batch_scale * number)
        case "bucket_mb":
            return replace(setup, bucket_mb=number)
        case "fusion_mb":
            return replace(setup, fusion_mb=number)
    raise _unknown(text)


def _number(value: str, text: str) -> float:
    try:
        number = float(value)
    except ValueError:
        raise _unknown(text) from None
    if not 0 < number <= _LARGEST:
        raise _unknown(text)
    return number


def _unknown(text: str) -> UsageError:
    return UsageError(
        f"--what-if: found {text!r}, wanted KEY=VALUE[,KEY=VALUE…]",
        remedy=f"keys: {_KEYS}; for example compression=fp16,bucket_mb=50",
    )
