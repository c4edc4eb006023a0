"""The GPUs of this host, asked by a child process: a driver that hangs or crashes hurts only it.

Layer: probe; imports facts, fact_json and gpu_driver.
"""

import json
import os
import subprocess
from contextlib import suppress

from mpijob_runtime.fact_json import FactsError, facts_from_json
from mpijob_runtime.facts import GpuHostFacts
from mpijob_runtime.gpu_driver import ARGV, has_driver

_LAST_SECONDS = 1.0


def probe_gpus_in_child(
    timeout_seconds: float, argv: tuple[str, ...] | None = None
) -> GpuHostFacts:
    """Return the facts; a child that gives none is one of their ``errors``.

    Args:
        timeout_seconds: how long nvmlInit and all questions may take.
        argv: the child; None for ours, which is not even started where there is no driver.
    """
    if argv is None and not has_driver():
        return _nothing()
    try:
        child = subprocess.Popen(  # noqa: S603 - our own module
            argv or ARGV,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        return _nothing(f"the GPU probe could not be started: {error}")
    try:
        printed, errors = child.communicate(timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        _abandon(child)
        return _nothing(f"the NVIDIA driver did not answer within {timeout_seconds:g} s")
    try:
        return facts_from_json(GpuHostFacts, json.loads(printed))
    except (FactsError, ValueError, RecursionError) as error:
        words = errors.decode(errors="replace").strip().rpartition("\n")[2]
        why = words or (error if printed else "it printed nothing")
        return _nothing(f"the GPU probe ended with {child.returncode}: {why}"[:300])


def _abandon(child: subprocess.Popen[bytes]) -> None:
    """Kill a child, and do not wait for one that hangs inside of the driver and cannot die."""
    child.kill()
    with suppress(subprocess.TimeoutExpired):
        child.communicate(timeout=_LAST_SECONDS)


def _nothing(*reasons: str) -> GpuHostFacts:
    allowed = tuple(sorted(os.sched_getaffinity(0)))
    return GpuHostFacts(allowed_cpus=allowed, errors=reasons)
