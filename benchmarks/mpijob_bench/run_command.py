"""A whole run: its directory, its launches with progress, its result and verdict."""

import json
import subprocess
import time
from pathlib import Path

from rich.console import Console

from mpijob_bench.assemble import assemble, efficiency
from mpijob_bench.comm.document import read_comm
from mpijob_bench.comm.measure import FILE as COMM
from mpijob_bench.documents import read_bytes, write_whole
from mpijob_bench.ending import conclude
from mpijob_bench.errors import LaunchError, ResultError
from mpijob_bench.expected import expected_efficiency, expected_step_seconds
from mpijob_bench.forecast import forecast
from mpijob_bench.guards import prediction
from mpijob_bench.interruption import terminated_as_interrupted
from mpijob_bench.plan import Inject, Plan, parse_plan, plan_hash
from mpijob_bench.predict import predict
from mpijob_bench.record import Launch, Record
from mpijob_bench.result import Result
from mpijob_bench.run import Hosts, Run, count_parameters
from mpijob_bench.schedule import Kind, PlannedLaunch, estimate_seconds, remaining_seconds
from mpijob_bench.sections import write_whole_result
from mpijob_runtime.errors import Problem, UsageError

PLAN, RESULT = "plan.json", "result.json"

_SHOWN_SECONDS = 90


def run_all(text: str, directory: Path, *, quiet: bool = False) -> int:
    """Do what a plan says, explain and report it, and return the verdict's exit code.

    An emulated run ends with its result: its verdict also depends on another scale.

    Args:
        text: the plan's file.
        directory: of the results; one plan each.
        quiet: do not say which launch is done, and how long all will take.

    Raises:
        ResultError: the directory has another plan, or the job other hosts than it needs.
        UsageError: the model has no such size.
        LaunchError: launches cannot be done here.
        NotLaunchedError: a launch did not come about.
    """
    plan = parse_plan(text.encode())
    record = Record(directory)
    hosts = job_hosts()
    check_hosts(plan, hosts)
    check_size(plan)
    record.check_plan(plan_hash(text))
    keep_plan(text, directory)
    record.mend()
    console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
    with terminated_as_interrupted():
        do_launches(plan, Run(plan, record, hosts, plan_hash=plan_hash(text)), console)
    result = make_result(text, record)
    write_whole_result(str(directory / RESULT), result)
    if plan.emulation is not None:
        return 0  # emulate judges, with what it alone knows
    return conclude(directory)


def keep_plan(text: str, directory: Path) -> None:
    """Put the plan into the directory of its results.

    Raises:
        ResultError: another one is there.
    """
    path, data = directory / PLAN, text.encode()
    if not path.exists():
        write_whole(str(path), data)
    elif read_bytes(str(path), wanted="a plan", remedy="another --out") != data:
        problem = Problem(0, "another plan", "the same for all launches of a result")
        raise ResultError(str(path), [problem], remedy="another --out, or leave --plan out")


def check_size(plan: Plan) -> None:
    """Check that the model can be made, before hosts are asked to.

    Raises:
        UsageError: it has no such size.
    """
    if plan.workload.kind == "model":
        try:
            count_parameters(plan.workload.name, plan.workload.size)
        except ValueError as error:
            raise UsageError(str(error), remedy="another --size, and another --out") from error


def check_hosts(plan: Plan, hosts: Hosts) -> None:
    """Check that the job has the plan's nodes, all of one size.

    Nodes with more ranks than others would pass for faster ones, and the others for slow ones.

    Raises:
        ResultError: too few hosts, or slots that differ.
    """
    if len(hosts.names) < plan.nodes:
        problem = Problem(0, f"{plan.nodes} nodes", f"at most the job's {len(hosts.names)} hosts")
        raise ResultError(PLAN, [problem], remedy="a job with more workers, or --nodes")
    slots = hosts.slots[: plan.nodes]
    if len(set(slots)) > 1:
        problem = Problem(0, f"slots {slots}", "as many on each host", "hostfile")
        raise ResultError(PLAN, [problem], remedy="slotsPerWorker, equal for all workers")


def job_hosts() -> Hosts:
    """Return the hosts of this MPIJob.

    Raises:
        LaunchError: there are none, or no mpijob-runtime.
    """
    argv = ("mpijob-runtime", "hosts", "--json")
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except OSError as error:
        message = f"cannot run {argv[0]}: {error.strerror}"
        raise LaunchError(message, remedy="run this in an image of mpijob-runtime") from error
    if done.returncode:
        message = f"no hosts: {done.stderr.strip()}"
        raise LaunchError(message, remedy="run this as the launcher of an MPIJob")
    found = json.loads(done.stdout)["hosts"]
    return Hosts(tuple(h["name"] for h in found), tuple(h["slots"] for h in found))


def do_launches(plan: Plan, run: Run, console: Console) -> None:
    """Do what is left, and say before each what it is and how long all will take."""
    step, expected = expected_step_seconds(plan), expected_efficiency(plan)
    estimates: dict[str, float] = {}
    done: dict[str, float] = {}
    kinds: dict[str, Kind] = {}
    while left := run.left():
        for planned in left:
            kinds[planned.key] = planned.kind
            estimates[planned.key] = estimate_seconds(
                plan, planned, step_seconds=step, efficiency=expected
            )
        planned = left[0]
        seconds = remaining_seconds(left, estimates, done, kinds)
        number, count = len(done) + 1, len(done) + len(left)
        say = f"launch {number} of {count}: {planned.key}, {planned.nodes} nodes"
        console.print(f"{say}; about {_minutes(seconds)} left")
        started = time.monotonic()
        ended = run.do(planned)
        done[planned.key] = time.monotonic() - started
        console.print(f"  {describe(planned, ended)}, {done[planned.key]:.0f} s")


def describe(planned: PlannedLaunch, ended: Launch) -> str:
    """Return what came of a launch, in few words."""
    if ended["status"] != "ok":
        return f"{ended['status']}: {ended['reason']}"
    full = ended.get("modes", {}).get("full")
    if full is None:
        return "done"
    rates = full["samples_per_second"]
    if planned.kind == "alone":
        return f"{sum(rates):,.0f} samples/s by {len(rates)} nodes, each alone"
    return f"{full['job_samples_per_second']:,.0f} samples/s together"


def make_result(text: str, record: Record) -> Result:
    """Return the result of what is recorded, with the prediction and its guard."""
    plan = parse_plan(text.encode())
    launches = record.launches()
    swept = any(one["kind"] == "comm" and one["status"] == "ok" for one in launches)
    sweep = read_comm(str(record.directory / COMM)) if swept else None
    result = assemble(plan, plan_hash(text), launches, sweep)
    if plan.emulation is not None and plan.emulation.inject == Inject():  # faults are not in it
        setup = forecast(result).setup
        predicted = predict(setup).efficiency if setup else None
        result["guards"].append(prediction(efficiency(result), predicted))
    return result


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < _SHOWN_SECONDS else f"{seconds / 60:.0f} min"
