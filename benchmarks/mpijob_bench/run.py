"""Does the launches of a plan that are not done yet, and makes the result of all of them.

Runs where MPIJobs run their launcher. A launch that fails stays failed, so that nobody repeats one
until it pleases; one that was interrupted is done anew, and both attempts stay in the record.
"""

import json
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mpijob_bench.assemble import pairs_done, pairs_to_do
from mpijob_bench.collect import Collector
from mpijob_bench.comm.measure import run_comm
from mpijob_bench.comm.options import Backend, Sweep
from mpijob_bench.errors import LaunchError
from mpijob_bench.launches import NCCL_TELLS, Launched, Line, end_all, run_launch
from mpijob_bench.launches import Launch as LaunchUnderWay
from mpijob_bench.plan import Plan
from mpijob_bench.profiles.profile import read_profile, shipped
from mpijob_bench.record import Launch, Record
from mpijob_bench.schedule import PlannedLaunch, planned_launches
from mpijob_bench.transports import observed_transport

_LINK_SECONDS = 4.0
_GRADIENT_BYTES = 4
_MIB = 1 << 20
_LARGEST_MIB = 128  # Horovod's fusion buffer; DDP's buckets are smaller
_ITERATIONS = 10
_SMALLEST_BYTES = 4096  # below, latency is all there is
_DONE = ("ok", "failed")


@dataclass(frozen=True)
class Hosts:
    """The hosts of the job, in the order of its hostfile.

    Attributes:
        names: one each.
        slots: of each.
    """

    names: tuple[str, ...]
    slots: tuple[int, ...]

    def first(self, nodes: int) -> list[str]:
        """Return the first hosts as ``--host`` takes them."""
        pairs = zip(self.names[:nodes], self.slots[:nodes], strict=True)
        return [f"{name}:{slots}" for name, slots in pairs]


class Run:
    """The launches of one plan on one job.

    Args:
        plan: that says what to do.
        record: that has what was done.
        hosts: of the job; at least as many as the plan has nodes.
        plan_hash: of the plan's file, for the record.
    """

    def __init__(self, plan: Plan, record: Record, hosts: Hosts, *, plan_hash: str) -> None:
        self._plan, self._record, self._hosts = plan, record, hosts
        self._plan_hash = plan_hash

    def left(self) -> list[PlannedLaunch]:
        """Return the launches that are still to do; those of an extension once it is wanted."""
        launches = self._record.launches()
        done = {launch["key"] for launch in launches if launch["status"] in _DONE}
        pairs = pairs_to_do(self._plan, pairs_done(self._plan, launches))
        planned = planned_launches(self._plan, slots=self._hosts.slots[0], pairs=pairs)
        return [launch for launch in planned if launch.key not in done]

    def do(self, planned: PlannedLaunch) -> Launch:
        """Do one launch and put it into the record.

        Raises:
            NotLaunchedError: its ranks did not run, or their host was taken: it is to do again.
        """
        number = 1 + max((found["number"] for found in self._record.launches()), default=-1)
        begun = {"number": number, **asdict(planned), "plan_hash": self._plan_hash}
        begun["fidelity"] = self._plan.fidelity
        begun["started"] = time.time()
        hosts = list(self._hosts.names[: planned.nodes])
        self._record.append({**begun, "status": "interrupted", "hosts": hosts})
        collector = Collector(
            number,
            hosts,
            self._record.append_steps,
            alone=planned.kind == "alone",
            warmup=self._plan.steps,
            fidelity=self._plan.fidelity,
        )
        launched = self._launch(planned, number, collector)
        launched.check_came_about(planned.key)
        end = self._end(planned, launched, collector)
        self._record.append({"number": number, **end})
        return {**begun, "hosts": hosts, **end}

    def _chosen(self, planned: PlannedLaunch) -> list[str]:
        """Return the hosts with the slots that take part."""
        if planned.kind == "single":
            return [f"{self._hosts.names[0]}:1"]
        return self._hosts.first(planned.nodes)

    def _launch(self, planned: PlannedLaunch, number: int, collector: Collector) -> Launched:
        log = self._record.log(number)
        if planned.kind == "comm":
            return self._sweep()
        if self._plan.workload.kind == "command" and planned.kind != "links":
            return self._user_launches(planned, collector, log)
        return run_launch(
            self._program(planned, number),
            collector.take,
            log=log,
            hosts=self._chosen(planned),
            environ=NCCL_TELLS,
        )

    def _program(self, planned: PlannedLaunch, number: int) -> tuple[str, ...]:
        if planned.kind == "links":
            assert self._plan.emulation is not None
            size = int(self._plan.emulation.link_bits_per_second / 8 * _LINK_SECONDS)
            return (sys.executable, "-m", "mpijob_bench.ranks.ring", "--bytes", str(size))
        plan = json.dumps(asdict(self._plan), separators=(",", ":"))
        alone = () if planned.kind == "together" else ("--alone",)
        train = ("-m", "mpijob_bench.ranks.train", "--plan", plan, "--launch", str(number))
        return (sys.executable, *train, *alone)

    def _sweep(self) -> Launched:
        started = time.monotonic()
        try:
            run_comm(
                sweep_of(self._plan, self._backend()),
                out=self._record.directory,
                hosts=self._hosts.first(self._plan.nodes),
                fidelity=self._plan.fidelity,
            )
        except LaunchError as error:
            return Launched(1, time.monotonic() - started, {"reason": str(error)})
        return Launched(0, time.monotonic() - started)

    def _backend(self) -> Backend:
        """Return what the launches of this run have used: NCCL if its log says so."""
        proofs = (launch.get("transport_proof") or {} for launch in self._record.launches())
        return "nccl" if any("nccl" in proof for proof in proofs) else "gloo"

    def _user_launches(self, planned: PlannedLaunch, collector: Collector, log: Path) -> Launched:
        """Launch the user's program: once, or on each host by itself at the same time."""
        hosts = self._chosen(planned)
        groups = [[host] for host in hosts] if planned.kind == "alone" else [hosts]
        slots = self._hosts.slots
        lock = threading.Lock()

        def take(index: int, launch: LaunchUnderWay) -> Launched:
            ranks_before = sum(slots[:index])

            def take_line(line: Line) -> None:
                with lock:
                    collector.take_user_step(replace(line, rank=line.rank + ranks_before))

            return launch.take(take_line, marked=False)

        with ExitStack() as stack:
            started = [
                stack.enter_context(
                    LaunchUnderWay(
                        self._plan.workload.argv, log=own_log, hosts=group, environ=NCCL_TELLS
                    )
                )
                for group, own_log in zip(groups, _logs(log, len(groups)), strict=True)
            ]
            pool = stack.enter_context(ThreadPoolExecutor(len(groups)))
            stack.callback(end_all, started)  # what the threads read from then ends
            ended = list(pool.map(take, range(len(groups)), started))
        failed = [one for one in ended if not one.ok]
        silent = self._ranks(planned) - len(collector.blocks("full"))
        if not failed and silent:
            message = (
                f"{planned.key}: {silent} of {self._ranks(planned)} ranks printed no steps after"
                " the warm-up, wanted a line of JSON for each step on each rank"
            )
            raise LaunchError(message, remedy="docs/benchmarks.md: your own program; or --warmup 2")
        return failed[0] if failed else max(ended, key=lambda one: one.seconds)

    def _ranks(self, planned: PlannedLaunch) -> int:
        """Return how many ranks a launch has."""
        return 1 if planned.kind == "single" else sum(self._hosts.slots[: planned.nodes])

    def _end(
        self, planned: PlannedLaunch, launched: Launched, collector: Collector
    ) -> dict[str, Any]:
        end: dict[str, Any] = {
            "status": "ok" if launched.ok else "failed",
            "reason": "" if launched.ok else launched.reason,
            "seconds": launched.seconds,
        }
        if not launched.ok or planned.kind == "comm":
            return end
        told = len(collector.blocks("full"))
        if planned.kind != "links" and told < self._ranks(planned):
            reason = f"{told} of {self._ranks(planned)} ranks told what they have done"
            return {**end, "status": "failed", "reason": reason}
        if planned.kind == "links":
            rates = [8 * ln.data["payload_bytes"] / ln.data["seconds"] for ln in collector.others]
            return {**end, "link_bits_per_second": rates}
        end |= {
            "modes": collector.modes(),
            "ranks": collector.ranks,
            "wrong_elements": collector.wrong_elements,
            "boot_ids": collector.boot_ids(),
            "environment": collector.environment,
        }
        blocks = collector.blocks("full")
        end |= load_of(blocks)
        if planned.kind == "together":
            observed, proof = observed_transport(
                blocks,
                ranks=self._ranks(planned),
                nodes=planned.nodes,
                gradient_bytes=self._gradient_bytes(),
                compressed=self._plan.workload.options.compression != "none",
                report=launched.report,
            )
            end |= {"transport": observed, "transport_proof": proof}
        return end

    def _gradient_bytes(self) -> float:
        workload, emulation = self._plan.workload, self._plan.emulation
        if workload.kind == "profile" and emulation is not None:
            return read_profile(shipped(workload.name)).gradient_bytes / emulation.byte_scale
        if workload.kind == "model":
            return count_parameters(workload.name, workload.size) * _GRADIENT_BYTES
        return 0.0


def _logs(log: Path, count: int) -> list[Path]:
    """Return a log for each of several launches at the same time."""
    return [log] if count == 1 else [log.with_suffix(f".{n}.log") for n in range(count)]


def sweep_of(plan: Plan, backend: Backend) -> Sweep:
    """Return the sweep of all-reduces that the prediction needs: up to the largest bucket."""
    largest = float(_LARGEST_MIB * _MIB)
    if plan.workload.kind == "profile" and plan.emulation is not None:
        gradients = read_profile(shipped(plan.workload.name)).gradients
        tensor = max(gradient.bytes for gradient in gradients)
        largest = (tensor + largest) / plan.emulation.byte_scale
    return Sweep(
        backend=backend,
        collectives=("all_reduce",),
        min_bytes=_SMALLEST_BYTES,
        max_bytes=int(largest),
        factor=2,
        min_iterations=_ITERATIONS,
    )


def load_of(blocks: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Return what the processors of the busiest node did, and the worst rank's lateness."""
    waited, idle, stolen, late = [], [], [], []
    for block in blocks:
        if "before" not in block:
            continue
        before, after = block["before"], block["after"]
        if None not in (before["waiting_seconds"], after["waiting_seconds"]):
            spent = after["waiting_seconds"] - before["waiting_seconds"]
            waited.append(spent / block["seconds"])
        ticks = after["ticks"] - before["ticks"]
        idle.append((after["idle_ticks"] - before["idle_ticks"]) / ticks if ticks else 1.0)
        stolen.append((after["stolen_ticks"] - before["stolen_ticks"]) / ticks if ticks else 0.0)
        if block["late"] is not None:
            late.append(block["late"]["p99"])
    return {
        "cpu_waited": max(waited, default=None),
        "cpu_idle": min(idle, default=None),
        "cpu_stolen": max(stolen, default=None),
        "late_p99": max(late, default=None),
    }


def count_parameters(name: str, size: Mapping[str, Any]) -> int:
    """Return how many numbers a network trains, without giving it memory."""
    import torch

    from mpijob_bench.models import create

    with torch.device("meta"):
        return create(name, **size).parameter_count()
