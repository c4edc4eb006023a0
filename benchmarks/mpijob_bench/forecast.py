"""The prediction for a result: which profile, which cost, which scales.

An emulation runs a profile's times, multiplied by its time scale. On real devices the profile
gives the shape of a step, and the measured step of nodes alone its length; launches of several
nodes are never looked at.

Layer: reads profiles; imports attribution, allreduce, predict.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from mpijob_bench.allreduce import Allreduce, allreduce_of
from mpijob_bench.attribution import paired
from mpijob_bench.documents import read_bytes
from mpijob_bench.errors import ResultError
from mpijob_bench.plan import CYCLE_MS, FUSION_MB
from mpijob_bench.predict import COMPRESSION_RATIO, Setup
from mpijob_bench.profiles import Profile, shipped
from mpijob_bench.profiles.profile import parse_profile
from mpijob_runtime.errors import Problem


@dataclass(frozen=True, slots=True)
class Forecast:
    """What can be predicted of a result.

    Attributes:
        setup: of the model, or None.
        basis: what it stands on, or why there is none; a sentence.
    """

    setup: Setup | None
    basis: str


def forecast(result: Mapping[str, Any], *, profile_file: str | None = None) -> Forecast:
    """Return the setup of a result's prediction, or why there is none.

    Args:
        result: that was checked (sections.py).
        profile_file: a profile of the workload, instead of the one that is shipped.

    Raises:
        ResultError: if the profile cannot be read.
    """
    allreduce = allreduce_of(result.get("comm"))
    if allreduce is None:
        return Forecast(None, "no prediction: the result has no sweep of allreduce (comm)")
    workload = result.get("workload") or {}
    profile = _profile(workload, profile_file)
    if isinstance(profile, str):
        return Forecast(None, profile)
    emulation = result.get("emulation") or {}
    scale, basis = _time_scale(result, profile, emulation)
    if scale is None:
        return Forecast(None, basis)
    setup = replace(
        make_setup(profile, allreduce, workload, emulation, time_scale=scale),
        ranks=_ranks(result) or allreduce.ranks,
    )
    return Forecast(setup, f"{basis}; allreduce of {allreduce.ranks} ranks")


def make_setup(
    profile: Profile,
    allreduce: Allreduce,
    workload: Mapping[str, Any],
    emulation: Mapping[str, Any],
    *,
    time_scale: float,
) -> Setup:
    """Return what is to be predicted, for as many ranks as the allreduce had.

    Args:
        profile: of a step.
        allreduce: its cost.
        workload: of a plan or result, as plain data.
        emulation: the same; empty if nothing is emulated.
        time_scale: what the profile's times are multiplied by.
    """
    cv = float(emulation.get("jitter_cv") or 0.0)
    busy = (profile.forward_seconds + profile.backward_seconds) * time_scale
    options = {
        key: value for key, value in (workload.get("options") or {}).items() if value is not None
    }
    cycle = float(options.get("cycle_ms", CYCLE_MS)) / 1e3
    return Setup(
        profile=profile,
        allreduce=allreduce,
        ranks=allreduce.ranks,
        framework="horovod" if workload.get("framework") == "horovod" else "ddp",
        bucket_mb=options.get("bucket_mb"),
        fusion_mb=float(options.get("fusion_mb", FUSION_MB)),
        cycle_seconds=cycle * float(emulation.get("time_scale") or 1.0),
        compression=COMPRESSION_RATIO[options.get("compression", "none")],
        accumulation=int(options.get("accumulation", 1)),
        time_scale=time_scale,
        byte_scale=float(emulation.get("byte_scale") or 1.0),
        jitter_seconds=cv * busy,
    )


def _profile(workload: Mapping[str, Any], profile_file: str | None) -> Profile | str:
    if profile_file:
        return _read(profile_file)
    if workload.get("kind") not in ("model", "profile"):
        return "no prediction: a program of the user's own has no profile; --profile FILE gives one"
    name = str(workload.get("name"))
    try:
        profile = _read(shipped(name))
    except ValueError:
        return f"no prediction: no profile of {name} is shipped; --profile FILE gives one"
    if dict(profile.size) != (workload.get("size") or {}):
        return (
            f"no prediction: the profile of {profile.model} is of another size than the workload;"
            " record one with python -m mpijob_bench.profiles.record and give --profile FILE"
        )
    return profile


def _read(path: str) -> Profile:
    wanted, remedy = "a gradient-ready profile", "give another --profile FILE"
    data = read_bytes(path, wanted=wanted, remedy=remedy)
    try:
        return parse_profile(data.decode())
    except (ValueError, RecursionError) as error:
        problem = Problem(0, str(error).splitlines()[0][:200], wanted)
        raise ResultError(path, [problem], remedy=remedy) from error


def _time_scale(
    result: Mapping[str, Any], profile: Profile, emulation: Mapping[str, Any]
) -> tuple[float | None, str]:
    name = f"profile of {profile.model} on {profile.device}"
    if emulation:
        scale = float(emulation.get("time_scale") or 1.0)
        return scale, f"{name}, times x {scale:g}, sizes / {emulation.get('byte_scale') or 1:g}"
    alone = [step for step in _alone_seconds(result) if step]
    if not alone:
        return None, "no prediction: no step time of nodes alone"
    accumulation = ((result.get("workload") or {}).get("options") or {}).get("accumulation") or 1
    seconds = fmean(alone)
    scale = seconds / profile.accumulated_seconds(accumulation)
    return scale, f"{name}, its step stretched to the {seconds * 1e3:.1f} ms measured alone"


def _ranks(result: Mapping[str, Any]) -> int | None:
    """Return how many ranks all nodes together have had."""
    together = (one for _, _, one in paired(result.get("launches") or ()))
    return max((int(one.get("ranks") or 0) for one in together), default=None)


def _alone_seconds(result: Mapping[str, Any]) -> list[float]:
    launches = (alone for _, alone, _ in paired(result.get("launches") or ()))
    return [float(sum(means) / len(means)) for one in launches if (means := _means(one))]


def _means(launch: Mapping[str, Any]) -> list[float]:
    return list(launch["modes"]["full"].get("mean_seconds") or ())
