"""mpirun under watch: from its start to what came of it.

Layer: effects (threads, clock); imports bug_guard, daemons, diagnose, differences, keep_going,
output, plan, spread, supervise, watch.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mpijob_runtime import carried
from mpijob_runtime.attempts import RunningAttempt
from mpijob_runtime.bug_guard import BugGuard
from mpijob_runtime.console import Console
from mpijob_runtime.daemons import DaemonStarter
from mpijob_runtime.diagnose import diagnose
from mpijob_runtime.differences import find_differences, format_differences
from mpijob_runtime.environ import Variable, apply_environ, decide_for_attempt
from mpijob_runtime.errors import ConfigurationError, MpiJobError, describe_bug
from mpijob_runtime.gate import Gate
from mpijob_runtime.host_differences import describe_directories
from mpijob_runtime.hosts import short_name
from mpijob_runtime.keep_going import keeps_going
from mpijob_runtime.lists import format_list
from mpijob_runtime.mpirun_errors import MpirunErrors
from mpijob_runtime.mpirun_output import OutputPlan
from mpijob_runtime.nccl_watch import NcclWatch
from mpijob_runtime.observation import OUTSIDE, Observation, Stop, StopKind
from mpijob_runtime.outcome import Outcome, count, format_ranks
from mpijob_runtime.output import RankOutput
from mpijob_runtime.plan import LaunchPlan
from mpijob_runtime.preemption import Preemption
from mpijob_runtime.rank_stdin import RankStdin
from mpijob_runtime.records import RankRecord, parse_record
from mpijob_runtime.settings import Settings
from mpijob_runtime.spread import Placement, choose_judgement, describe_own_ranks
from mpijob_runtime.stall import StallWatch
from mpijob_runtime.supervise import Companion, Ending, Pipes, Supervisor
from mpijob_runtime.watch import HostWatch, LocalStream, finish, tell_all

if TYPE_CHECKING:
    from mpijob_runtime.probes.ssh import SshConnection

_AFTER_FAILURE_SECONDS = 15.0
"""How long mpirun may take to end a job of which a rank has failed; Open MPI needs about one."""

_ALIVE_SECONDS = 3.0
_SELF_SECONDS = 4.0
"""How long mpirun may take to end for a lost host; a SIGTERM meanwhile crashes 4.1.4 (measured)."""

_AFTER_END_SECONDS = 30.0
"""How long mpirun may take to end once every rank has ended well."""

_LAST_SECONDS = 5.0
"""How long mpirun has to end after its SIGTERM; the ranks have had their grace before."""


@dataclass(slots=True)
class _Seen:
    """What the agents have told so far; guarded by one lock."""

    starts: dict[int, RankRecord] = field(default_factory=dict)
    ends: dict[int, RankRecord] = field(default_factory=dict)
    records: list[RankRecord] = field(default_factory=list)
    job: str = ""
    lost: list[str] = field(default_factory=list)
    failed_at: float | None = None
    ended_at: float | None = None
    proof: str | None = None


class Run(Companion):
    """One start of mpirun.

    Args:
        settings: what was asked.
        plan: what is run.
        attempt: this start of the job.
        console: where to say what happens.
    """

    def __init__(
        self,
        settings: Settings,
        plan: LaunchPlan,
        attempt: RunningAttempt,
        console: Console,
    ) -> None:
        self._settings = settings
        self._plan = plan
        self._watches: list[HostWatch] = []
        self._attempt = attempt
        self._console = console
        self._lock = threading.RLock()
        self._seen = _Seen(proof=plan.unproved)
        self._stop: Stop | None = None
        self._end_at: float | None = None
        self._alive_at = 0.0
        self._met_bug = False
        self._guard = BugGuard(self._note_bug)
        planned = {h.name: h.slots for h in plan.hosts.hosts}
        verbatim = None if plan.world_size is not None else plan.argv[1:]
        major = plan.mpi.major
        judgement = choose_judgement(settings.environ, verbatim, major=major)
        self._keeps_going = keeps_going(verbatim or (), settings.environ, major=major)
        self._placement = Placement(planned, aliases=plan.aliases, judgement=judgement)
        self._output = _open_output(plan.output, settings.log_dir, attempt.id, console)
        self._preemption = Preemption(self._watches, settings.grace_seconds, console)
        self._stalls = StallWatch(self._watches, settings, self._output, console)
        self._nccl = NcclWatch(self._watches, console)
        self._gate = Gate(console, on_open=self._on_open, binding=plan.binding)
        self._errors = MpirunErrors()
        self._stdin = RankStdin(major=major, wrapped=plan.recorded)
        self._supervisor = self._make_supervisor(self._errors.descriptor)
        self._daemons = DaemonStarter(
            plan.remote,
            attempt=attempt.id,
            run_dir=plan.paths.run_dir,
            on_outsider=self._on_outsider,
        )
        self._began = time.monotonic()

    def start(self) -> None:
        """Start mpirun: its daemons start as hosts get ready, its ranks once all are.

        Raises:
            ConfigurationError: if it cannot be started.
        """
        self._daemons.start()
        try:
            self._supervisor.start()
        except OSError as error:
            raise ConfigurationError(f"{self._plan.argv[0]}: {error.strerror}") from error

    def join(self, connection: SshConnection, hello: Mapping[str, object]) -> None:
        """A host is ready, and this was its agent's first word; thread-safe."""
        usable = hello.get("tmp") is not False
        if not usable:
            self._console.warning(
                f"{connection.host}: /tmp is full or cannot be written: its daemon uses /dev/shm"
            )
        self._daemons.add(connection, tmp=usable)

    def abort(self) -> None:
        """End mpirun, which will not get its hosts."""
        self._daemons.close()
        self._supervisor.abort()

    def run(
        self,
        watches: Sequence[HostWatch],
        *,
        waited_seconds: float,
        when_watching: Callable[[], None],
    ) -> Outcome:
        """Let the ranks start, wait for the end and return what came of it.

        Args:
            watches: an agent for each remote host, and for the launcher's own under its name.
            waited_seconds: how long the hosts took to come.
            when_watching: called once ending signals are mpirun's supervisor's.
        """
        self._began = time.monotonic()
        self._watches += watches
        with self._guard.of_threads():
            with self._guard, self._lock:
                self._begin_gate(watches)
            for watch in watches:
                watch.follow(self._on_event, self._on_output, self._on_lost)
            self._daemons.complete()
            try:
                ending = self._supervisor.run(when_watching=when_watching)
            finally:
                self._daemons.close()
            ran = time.monotonic() - self._began
            return self._conclude(ending, {"wait": waited_seconds, "run": ran})

    @property
    def ranks_started(self) -> int:
        """How many ranks are known to have started."""
        return len(self._seen.starts)

    def outcome_without_diagnosis(self, error: Exception) -> Outcome:
        """Return what was seen of a job whose end a bug of ours has kept from being explained."""
        with self._lock:
            told = (start.world_size for start in self._seen.starts.values())
            return Outcome(
                "failed",
                MpiJobError.exit_code,
                describe_bug(error),
                ranks_started=self.ranks_started,
                world_size=self._plan.world_size or max(told, default=None),
                hosts=self._placement.hosts,
                spread=self._seen.proof or "unproved: not all ranks were seen",
                phases_seconds={"run": time.monotonic() - self._began},
            )

    def _begin_gate(self, watches: Sequence[HostWatch]) -> None:
        members = [watch for watch in watches if watch.host in self._placement.planned]
        self._gate.begin(watches, members=members if self._plan.recorded else ())
        if not self._plan.recorded:
            self._gate.open()

    def _conclude(self, ending: Ending, phases_seconds: Mapping[str, float]) -> Outcome:
        """Let the hosts finish, and say what came of it."""
        if ending.leftovers:
            self._console.debug(f"ended {len(ending.leftovers)} processes that outlived mpirun")
        silent: list[str] = []
        with self._guard:
            silent = finish(self._watches)
            self._errors.close()
            self._output.close()
        with self._lock:
            outcome = diagnose(
                Observation(
                    mpirun_code=ending.exit_code,
                    mpirun_signal=_own_signal(ending),
                    signals=tuple(ending.signals),
                    records=tuple(self._seen.records),
                    hosts=self._placement.hosts,
                    world_size=self._plan.world_size,
                    recorded=self._plan.recorded,
                    proof=self._seen.proof,
                    stop=self._stop,
                    lost_hosts=list(dict.fromkeys([*self._seen.lost, *silent])),
                    last_words={rank: self._output.tail(rank) for rank in self._failed_ranks()},
                    mpirun_said=self._errors.tail,
                    major=self._plan.mpi.major,
                    arguments=() if self._plan.world_size is not None else self._plan.argv[1:],
                    daemons_ended=self._daemons.ended,
                    phases_seconds=phases_seconds,
                    opened_seconds=self._opened_seconds(),
                    own_ranks=self._own_ranks("ran"),
                )
            )
        return replace(outcome, network=self._gate.network, nccl=self._nccl.to_json())

    def _opened_seconds(self) -> float | None:
        opened = self._gate.opened_at
        return None if opened is None else opened - self._began

    def _own_ranks(self, verb: str) -> str:
        """Return that ranks are on this launcher by the user's own wish, if they are."""
        plan = self._plan
        if plan.hostname in self._placement.planned or plan.aliases:
            return ""
        given = (self._placement.hosts, plan.hostname, plan.argv[1:])
        return describe_own_ranks(*given, major=plan.mpi.major, verb=verb)

    def _failed_ranks(self) -> list[int]:
        return [record.rank for record in self._seen.records if record.failed]

    def _make_supervisor(self, stderr: int) -> Supervisor:
        attempt = self._attempt
        decided = decide_for_attempt(self._plan.environ, attempt.id, attempt.number)
        if self._stdin.told is not None:
            decided[carried.STDIN] = Variable(self._stdin.told, "probed", "how stdin ends")
        return Supervisor(
            self._plan.argv,
            apply_environ(self._settings.environ, decided),
            grace_seconds=min(self._settings.grace_seconds, _LAST_SECONDS),
            companion=self,
            pipes=Pipes(self._stdin.descriptor, stderr),
        )

    def spared(self) -> list[int]:
        """Return the pid of this host's own agent, which has still to finish."""
        return [w.stream.process.pid for w in self._watches if isinstance(w.stream, LocalStream)]

    def _on_open(self) -> None:
        self._stalls.start()
        self._stdin.start()

    # -- what is told ---------------------------------------------------------------------------

    def _on_output(self, rank: int, host: str, stream: int, data: bytes) -> None:
        with self._guard:
            self._nccl.read(rank, data)
            self._output.write(rank, host, stream, data)

    def _on_event(self, host: str, event: Mapping[str, object]) -> None:
        with self._guard:
            self._take_event(host, event)

    def _take_event(self, host: str, event: Mapping[str, object]) -> None:
        match event.get("event"):
            case "start" | "exit" | "vanished":
                record = parse_record(event, host)
                if record is not None:
                    self._note(record)
            case "link" | "gpus":
                with self._lock:
                    self._gate.note(host, event)
            case "nccl":
                self._nccl.note(host, event)
            case "warned":
                self._preemption.note_warned(host, event)
            case "ending":
                self._on_host_ending(host)
            case "trouble":
                self._console.warning(f"{short_name(host)}: its agent: {event.get('what')}")
            case "progress" | "stacks":
                self._stalls.note(host, event)

    def _note(self, record: RankRecord) -> None:
        """Take a record; ranks that the program itself spawned are another job of MPI's."""
        with self._lock:
            seen = self._seen
            if record.event == "start":
                seen.job = seen.job or record.job
            if record.job != seen.job:
                return
            if record.event == "start":
                self._note_start(record)
                return
            if record.rank not in seen.starts or record.rank in seen.ends:
                return
            seen.records.append(record)
            seen.ends[record.rank] = record
            self._preemption.note_ended(record.rank)
            now = time.monotonic()
            if record.failed and seen.failed_at is None:
                seen.failed_at = now
            if len(seen.ends) == len(seen.starts):
                seen.ended_at = now
                self._preemption.note_all_ended()

    def _note_start(self, record: RankRecord) -> None:
        seen = self._seen
        if record.rank in seen.starts:
            return
        seen.records.append(record)
        seen.starts[record.rank] = record
        wrong = self._placement.add(record)
        if wrong:
            self._end("misplaced", "ranks are not where the plan put them", self._misplaced())
        elif not record.found:
            where = f"rank {record.rank} on {short_name(record.host)}"
            self._end("missing program", f"program not found: {where}", where, rank=record.rank)
        elif len(seen.starts) == record.world_size:
            self._note_all_started(record.world_size)

    def _misplaced(self) -> str:
        return format_list(self._placement.misplaced, between="\n    ")

    def _note_all_started(self, world_size: int) -> None:
        """Every rank is at the gate, in its place: compare them and let them through."""
        if self._stop is not None:
            self._gate.open()  # to run into their end
            return
        used = sum(1 for ranks in self._placement.hosts.values() if ranks)
        if self._seen.proof is None:
            self._seen.proof = "proved"
        self._output.expect(world_size)
        self._gate.let_through(self._placement.hosts)
        ranks, hosts = count(world_size, "rank"), count(used, "host")
        seconds = time.monotonic() - self._began
        self._console.info(
            f"{ranks} started on {hosts} in {seconds:.1f} s (spread {self._seen.proof})",
            event="started",
            spread=self._seen.proof,
        )
        starts = self._seen.starts.values()
        for text in (
            self._own_ranks("start"),
            format_differences(find_differences(starts)),
            describe_directories(starts, self._gate.survey.hosts),
        ):
            if text:
                self._console.warning(text)

    def _on_outsider(self, host: str) -> None:
        """A host that is not of the plan: nothing there waits for us or tells us anything."""
        with self._lock:
            if self._seen.proof is None:
                self._seen.proof = f"unproved: mpirun was told to use {host}, {OUTSIDE}"
                self._console.warning(f"where the ranks are is {self._seen.proof}")
            self._stdin.forgo_end()
            self._gate.open()

    def _on_host_ending(self, host: str) -> None:
        """A worker was told to end: the whole job goes, with the grace that is left."""
        with self._lock:
            if self._is_ending():
                return
            self._end(
                "host ending",
                f"{short_name(host)} was told to end: ending the job",
                host,
                gently=True,
            )

    def _on_lost(self, host: str) -> None:
        with self._guard, self._lock:
            self._seen.lost.append(host)
            on_it = {r for r, start in self._seen.starts.items() if start.host == host}
            if on_it and not on_it - self._seen.ends.keys():
                return  # its ranks had ended
            if host not in self._placement.planned:
                return  # the launcher's own host, which has no rank
            if not self._is_ending():
                self._end_at = time.monotonic() + _SELF_SECONDS
                self._end("lost host", f"lost {short_name(host)}: ending the job", host)

    def _note_bug(self, error: Exception) -> None:
        """End the job for a bug of ours, unless it ends already; the first one is said."""
        with self._lock:
            if self._met_bug:
                return
            self._met_bug = True
            words = describe_bug(error)
            if self._is_ending():
                self._console.error(words)
            else:
                self._end("bug", words, words)

    def _is_ending(self) -> bool:
        return self._stop is not None or self._supervisor.stopping

    def _end(
        self,
        kind: StopKind,
        words: str,
        detail: str,
        *,
        rank: int | None = None,
        gently: bool = False,
    ) -> None:
        """End the job for a reason of ours; the first reason counts."""
        if self._stop is not None:
            return
        self._stop = Stop(kind, detail, rank)
        self._console.error(words)
        if gently and self._gate.opened_at is not None:
            self._preemption.start()
        elif self._end_at is None:
            self._supervisor.stop()

    # -- in time --------------------------------------------------------------------------------

    def on_signal(self, number: signal.Signals) -> float:
        """Tell the ranks before mpirun, whose own SIGTERM becomes SIGKILL within a second."""
        with self._guard:
            return self._warn_ranks(number)
        return 0.0

    def _warn_ranks(self, number: signal.Signals) -> float:
        grace = self._settings.grace_seconds
        self._console.warning(f"got {number.name}: ending the job within {grace:.0f} s")
        with self._lock:
            running = self._seen.starts.keys() - self._seen.ends.keys()
            direct = number in (signal.SIGTERM, signal.SIGHUP) and self._gate.opened_at is not None
            if not running or not direct:
                return 0.0
            self._preemption.start()
        return grace

    def on_tick(self) -> bool:
        """Keep the deadlines, and return whether it is mpirun's time to end."""
        with self._guard, self._lock:
            return self._is_due(time.monotonic())
        return True

    def _is_due(self, now: float) -> bool:
        self._say_alive(now)
        self._gate.act(now)
        if self._gate.opened_at is not None:
            self._nccl.act(now - self._gate.opened_at)
        due = self._preemption.act(now) or self._stall_is_due(now)
        if due or (self._end_at is not None and now >= self._end_at):
            return True
        if self._is_ending():
            return False
        if self._start_is_overdue(now):
            self._end("hung", *self._hung())
        elif self._end_is_overdue(now):
            self._end("slow end", "mpirun does not end by itself: ending it", "")
        return False

    def _say_alive(self, now: float) -> None:
        """Let hosts that are cut off from us know it by our silence, and end their ranks."""
        if now >= self._alive_at:
            self._alive_at = now + _ALIVE_SECONDS
            tell_all(self._watches, do="alive")

    def _stall_is_due(self, now: float) -> bool:
        ended, started = len(self._seen.ends), len(self._seen.starts)
        stalled, due = self._stalls.check(now, ended=ended, started=started)
        if stalled is not None and self._stop is None:
            self._stop = Stop("stalled", stalled)
        return due

    def _start_is_overdue(self, now: float) -> bool:
        """Tell whether mpirun hangs; without the wrapper nobody could tell."""
        waits = self._plan.recorded and self._gate.opened_at is None
        return waits and now - self._began > self._settings.start_timeout_seconds

    def _hung(self) -> tuple[str, str]:
        seconds, starts = self._settings.start_timeout_seconds, self._seen.starts
        if not starts:
            detail = "no rank started" + self._not_contacted()
            return f"{detail} within {seconds:.0f} s: ending mpirun", detail
        size = next(iter(starts.values())).world_size
        missing = format_ranks(sorted(set(range(size)) - starts.keys()))
        detail = f"{len(starts)} of {size} ranks started; missing {missing}"
        return f"within {seconds:.0f} s {detail}: ending mpirun", detail

    def _not_contacted(self) -> str:
        """Return which hosts mpirun has sent no daemon to, as far as that tells anything."""
        remote = set(self._plan.remote)
        silent = sorted(remote - self._daemons.contacted)
        if not silent:
            return ""
        if silent == sorted(remote):
            return ", and mpirun contacted no host"
        return f", and mpirun did not contact {format_list([*map(short_name, silent)])}"

    def _end_is_overdue(self, now: float) -> bool:
        seen = self._seen
        if seen.ended_at is not None and len(seen.ends) == len(seen.starts):
            return now - seen.ended_at > _AFTER_END_SECONDS
        if seen.failed_at is None or self._keeps_going:
            return False
        return now - seen.failed_at > _AFTER_FAILURE_SECONDS


def _own_signal(ending: Ending) -> int | None:
    """Return the signal that ended mpirun itself, if it was not ours."""
    ours = ending.killed or ending.stopped or ending.signals
    return -ending.returncode if ending.returncode < 0 and not ours else None


def _open_output(
    planned: OutputPlan, log_dir: str | None, attempt: str, console: Console
) -> RankOutput:
    place = log_dir and f"{log_dir}/{attempt}"
    try:
        output = RankOutput(planned.form, place, tags=planned.tags, warn=console.warning)
    except OSError as error:
        message = f"--log-dir {place}: cannot make the directory: {error.strerror}"
        remedy = "name a directory that this user can write, for example on a mounted volume"
        raise ConfigurationError(message, remedy=remedy) from error
    if place:
        console.info(f"the ranks' logs: {place}")
    return output
