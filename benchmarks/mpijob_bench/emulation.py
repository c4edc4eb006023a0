"""An emulated run: eight containers on this machine, their links shaped, judged like a cluster.

``mpijob-local run`` makes the job, ``mpijob-bench run`` inside of its launcher does the launches:
the same that a cluster runs. Once more at twice the scale, briefly, for guard G5.
"""

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import click

from mpijob_bench.assemble import efficiency
from mpijob_bench.documents import writing
from mpijob_bench.errors import LaunchError, ResultError
from mpijob_bench.expected import expected_efficiency, expected_step_seconds
from mpijob_bench.guards import scale_invariance
from mpijob_bench.interruption import terminated_as_interrupted
from mpijob_bench.manifest import CLAIM, RESULTS, emulated_job
from mpijob_bench.plan import Curve, Emulation, Plan, format_plan, parse_plan
from mpijob_bench.result import Result, read_result
from mpijob_bench.run_command import RESULT, keep_plan
from mpijob_bench.schedule import plan_seconds
from mpijob_bench.sections import write_whole_result
from mpijob_runtime.errors import Problem

LINK_BITS_PER_SECOND = 125e6
"""What eight links on two cores keep at the same time with processors to spare (G3, G4)."""

TIME_SCALE = 8.0
"""Computing takes so much longer that waits, of which a host does thousands, hardly cost it."""

_DOUBLE = "double"
_OPEN = 0o777  # the launcher's user is none of this machine


def scale(network_bits_per_second: float, k: float | None, time_scale: float) -> Emulation:
    """Return the scales; without a wish ``k`` is what the links of this machine need."""
    k = k or max(time_scale, network_bits_per_second / LINK_BITS_PER_SECOND)
    return Emulation(network_bits_per_second, byte_scale=k / time_scale, time_scale=time_scale)


def doubled(plan: Plan, pairs: int) -> Plan:
    """Return the plan at twice the scale: the same bytes over half the rate, in twice the time.

    What a host adds to each message stays as it is, so it counts half as much: the very thing that
    an emulation overstates.
    """
    assert plan.emulation is not None
    emulation = dataclasses.replace(plan.emulation, time_scale=2 * plan.emulation.time_scale)
    return dataclasses.replace(
        plan, emulation=emulation, pairs=pairs, extension=0, curve=Curve((), 0)
    )


def emulate(
    text: str, directory: Path, *, image: str, double_pairs: int, quiet: bool = False
) -> Result:
    """Run a plan on this machine and return its result, with all guards.

    Args:
        text: the plan's file.
        directory: of the results.
        image: with mpijob-bench.
        double_pairs: how many pairs to do at twice the scale, for guard G5; with 0 it is not known
            and so does not hold.
        quiet: show no progress.

    Raises:
        LaunchError: the job could not be run.
        ResultError: it has left no result.
    """
    plan = parse_plan(text.encode())
    run_job(text, directory, image=image, quiet=quiet)
    result = read_result(str(directory / RESULT))
    if double_pairs:
        again = doubled(plan, double_pairs)
        if not quiet:
            say_again(again)
        run_job(format_plan(again), directory / _DOUBLE, image=image, quiet=quiet)
        other = read_result(str(directory / _DOUBLE / RESULT))
        guard = scale_invariance(efficiency(result), efficiency(other))
        others = [found for found in result["guards"] if found["name"] != guard["name"]]
        result["guards"] = [*others, guard]
        write_whole_result(str(directory / RESULT), result)
    return result


def say_again(again: Plan) -> None:
    """Say what comes after the run itself."""
    assert again.emulation is not None
    seconds = plan_seconds(
        again, expected_step_seconds(again), efficiency=expected_efficiency(again)
    )
    pairs = "1 pair" if again.pairs == 1 else f"{again.pairs} pairs"
    scale = f"twice the scale, k = {again.emulation.k:g}"
    click.echo(f"{pairs} at {scale}, for guard G5; about {seconds / 60:.0f} min", err=True)


def run_job(text: str, directory: Path, *, image: str, quiet: bool) -> None:
    """Run the MPIJob of a plan; its launcher goes on where one before it has stopped.

    Raises:
        LaunchError: there is no mpijob-local, or the job has failed.
        ResultError: it says that it went well and left nothing.
    """
    plan = parse_plan(text.encode())
    assert plan.emulation is not None
    with writing(directory):
        if not directory.exists():
            directory.mkdir(parents=True)
            directory.chmod(_OPEN)
    keep_plan(text, directory)
    program = find_mpijob_local()
    command = ("mpijob-bench", "run", "--out", RESULTS, *(("--quiet",) if quiet else ()))
    job = emulated_job("bench-emulated", image=image, nodes=plan.nodes, command=command)
    rate = f"{plan.emulation.link_bits_per_second / 1e3:.0f}kbit"
    options = ("--rate", rate, "--claim", f"{CLAIM}={directory.resolve()}")
    code = run_to_its_end((program, "run", "--quiet", *options, "-"), json.dumps(job))
    if code:
        message = f"the emulated job ended with exit code {code}"
        remedy = f"its words are above, those of its launches in {directory / 'logs'}"
        raise LaunchError(message, remedy=remedy)
    if not (directory / RESULT).exists():
        problem = Problem(0, "nothing", "a result of the job that has just ended")
        raise ResultError(str(directory / RESULT), [problem], remedy="see what it said above")


def run_to_its_end(argv: tuple[str, ...], text: str) -> int:
    """Run a program and return its exit code; who ends this process ends that one first.

    Args:
        argv: of the program.
        text: for its standard input.
    """
    with terminated_as_interrupted():
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, text=True)
        try:
            process.communicate(text)
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)  # a terminal has done so already; twice is no harm
            process.wait()
            raise
    return process.returncode


def find_mpijob_local() -> str:
    """Return the path of mpijob-local: beside this Python, or on PATH.

    Raises:
        LaunchError: there is none, as in an image.
    """
    beside = Path(sys.executable).with_name("mpijob-local")
    found = str(beside) if beside.exists() else shutil.which("mpijob-local")
    if found is None:
        message = "no mpijob-local: emulation makes containers, and cannot run inside of one"
        remedy = "run it in a clone of the project: .venv/bin/mpijob-bench emulate"
        raise LaunchError(message, remedy=remedy)
    return found
