"""The hosts' survey before the ranks' start: which network works between all, which GPUs they have.

Each host asks the next one on every network that all have; where several work, they are measured
one after the other, all hosts at once, as a ring of ranks would use them.

Layer: effects (clock); imports console, data_network, host_facts, watch.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mpijob_runtime.console import Console
from mpijob_runtime.data_network import (
    Candidate,
    DataNetwork,
    choose_network,
    describe_mtus,
    describe_network,
    find_candidates,
    worth_measuring,
)
from mpijob_runtime.fact_json import FactsError, facts_from_json
from mpijob_runtime.facts import GpuHostFacts, HostFacts
from mpijob_runtime.host_facts import parse_host_facts, parse_listening
from mpijob_runtime.hosts import short_name
from mpijob_runtime.lists import format_list
from mpijob_runtime.rank_environ import Findings
from mpijob_runtime.watch import HostWatch

_REACH_BYTES, _REACH_SECONDS = 1 << 16, 4.0
"""More than any packet: a packet size that does not pass shows."""

_RATE_BYTES, _RATE_SECONDS = 1 << 26, 0.3
"""Each pair sends for so long at most: beyond the bursts that shaped links let through."""

_GIVE_UP_SECONDS = 5.0
_CLOCK_SECONDS = 1e-6
_GPU_SECONDS = 30.0
"""A driver without persistence takes some seconds for each of eight GPUs."""

_SHOWN_PAIRS = 3


@dataclass(slots=True)
class _Round:
    """Questions of all hosts that are asked at one time."""

    number: int
    measured: bool
    candidates: tuple[Candidate, ...]
    deadline: float
    open: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)

    def name(self, host: str, candidate: int) -> str:
        """Return a question's name: no late answer is taken for one of a later round."""
        return f"{host} {self.number}.{candidate}"


class Survey:
    """Finds the data network of a job, and its GPUs.

    Args:
        console: where to say what was found.

    Attributes:
        hosts: host -> what its agent saw.
        network: what was found, or None if nothing was, or nothing was to be found.
        gpus: host -> what NVML told there, of hosts that have a driver.
    """

    def __init__(self, console: Console) -> None:
        self.hosts: dict[str, HostFacts] = {}
        self.network: DataNetwork | None = None
        self.gpus: dict[str, GpuHostFacts] = {}
        self._networks_decided = False
        self._gpus_awaited: set[str] = set()
        self._gpu_deadline = 0.0
        self._console = console
        self._watches: list[HostWatch] = []
        self._round: _Round | None = None
        self._rounds = 0
        self._failed: dict[Candidate, str] = {}
        self._rates: dict[Candidate, float | None] = {}
        self._to_measure: list[Candidate] = []

    @property
    def findings(self) -> Findings:
        """What is known by now."""
        clocks = {watch.host: watch.clock for watch in self._watches if watch.clock is not None}
        return Findings(self.hosts, self.network, self.gpus, clocks)

    @property
    def decided(self) -> bool:
        """Whether the survey is over."""
        return self._networks_decided and not self._gpus_awaited

    def begin(self, watches: Sequence[HostWatch]) -> None:
        """Begin, with the agents of all hosts on which ranks may run."""
        self._watches = list(watches)
        said = [watch for watch in watches if "machine" in watch.hello]
        self.hosts = {w.host: parse_host_facts(_mapping(w.hello["machine"])) for w in said}
        self._gpus_awaited = {h for h, f in self.hosts.items() if f.gpu_driver} - self.gpus.keys()
        self._gpu_deadline = time.monotonic() + _GPU_SECONDS
        candidates = find_candidates(self.hosts)
        older = [short_name(w.host) for w in watches if "links" not in w.hello or w not in said]
        if len(self._watches) <= 1:
            self._networks_decided = True
        elif older:
            self._give_up(f"{older[0]} has another version of mpijob-runtime ({len(older)} in all)")
        elif not candidates:
            self._give_up("the hosts have no interface in common, by name or by subnet")
        else:
            self._ask(candidates, measured=False)

    def stop(self) -> None:
        """End now; what is still open stays unknown."""
        self._round = None
        self._networks_decided = True
        self._gpus_awaited.clear()

    def note(self, host: str, event: Mapping[str, object]) -> None:
        """Take an agent's word about one of its questions, or about its GPUs."""
        if event.get("event") == "gpus":
            self._note_gpus(host, str(event.get("facts")))
            return
        asked = self._round
        name = f"{host} {event.get('id')}"
        if asked is None or name not in asked.waiting:
            return
        if event.get("state") == "open":
            asked.open.add(name)
            return
        asked.waiting.discard(name)
        if event.get("state") == "done":
            asked.rates[name] = _mbit_per_second(event)
        else:
            asked.failed[name] = str(event.get("why"))[:80]
        if not asked.waiting:
            self._conclude(asked)

    def act(self, now: float) -> None:
        """Give up on what has not been answered in time."""
        if self._gpus_awaited and now >= self._gpu_deadline:
            silent = format_list(sorted(map(short_name, self._gpus_awaited)))
            self._console.warning(f"{silent}: no word of the GPUs within {_GPU_SECONDS:.0f} s")
            self._gpus_awaited.clear()
        asked = self._round
        if asked is None or now < asked.deadline:
            return
        for name in asked.waiting:
            in_vain = "what was sent did not arrive" if name in asked.open else "no answer"
            asked.failed[name] = f"{in_vain} within {_GIVE_UP_SECONDS:.0f} s"
        asked.waiting.clear()
        self._conclude(asked)

    def _note_gpus(self, host: str, text: str) -> None:
        self._gpus_awaited.discard(host)
        try:
            self.gpus[host] = facts_from_json(GpuHostFacts, json.loads(text))
        except (FactsError, ValueError, RecursionError) as error:
            self._console.warning(f"{short_name(host)}: its GPUs could not be asked: {error}")

    def _ask(self, candidates: Sequence[Candidate], *, measured: bool) -> None:
        self._rounds += 1
        asked = _Round(self._rounds, measured, tuple(candidates), deadline=float("inf"))
        self._round = asked
        questions = [(c, n) for c in range(len(candidates)) for n in range(len(self._watches))]
        asked.waiting = {asked.name(self._watches[n].host, c) for c, n in questions}
        limits = {"bytes": _REACH_BYTES, "seconds": _REACH_SECONDS}
        if measured:
            limits = {"bytes": _RATE_BYTES, "seconds": _RATE_SECONDS}
        for c, n in questions:
            asker, asked_host = self._watches[n], self._next(n)
            here, there = candidates[c].ends[asker.host], candidates[c].ends[asked_host.host]
            links = parse_listening(asked_host.hello["links"])
            asker.tell(
                do="ask",
                id=f"{asked.number}.{c}",
                to=there.address,
                port=links.ports.get(there.address, 0),
                word=links.word,
                source=here.address,
                interface=here.interface,
                **limits,
            )
        asked.deadline = time.monotonic() + _GIVE_UP_SECONDS

    def _next(self, number: int) -> HostWatch:
        return self._watches[(number + 1) % len(self._watches)]

    def _conclude(self, asked: _Round) -> None:
        """Take what a round has shown, and begin the next one or decide."""
        self._round = None
        for number, candidate in enumerate(asked.candidates):
            pairs = self._failed_pairs(asked, number)
            if pairs:
                self._rates.pop(candidate, None)
                self._failed[candidate] = format_list(pairs, most=_SHOWN_PAIRS, between="; ")
            else:
                rates = [asked.rates[asked.name(w.host, number)] for w in self._watches]
                self._rates[candidate] = min(rates) if asked.measured else None
        if not asked.measured:
            working = worth_measuring(list(self._rates))
            self._rates = {c: None for c in self._rates if c in working}
            self._to_measure = list(working) if len(working) > 1 else []
        if self._to_measure:
            self._ask([self._to_measure.pop(0)], measured=True)
        else:
            self._decide()

    def _failed_pairs(self, asked: _Round, number: int) -> list[str]:
        pairs = []
        for n, watch in enumerate(self._watches):
            why = asked.failed.get(asked.name(watch.host, number))
            if why is not None:
                there = self._next(n).host
                address = asked.candidates[number].ends[there].address
                here = short_name(watch.host)
                pairs.append(f"{here} to {short_name(there)} ({address}): {why}")
        return pairs

    def _decide(self) -> None:
        self.network = choose_network(self._rates, self._failed)
        if self.network is None:
            reasons = (f"{candidate}: {why}" for candidate, why in self._failed.items())
            self._give_up("\n  ".join(reasons))
            return
        self._networks_decided = True
        say = self._console.info if self.network.others else self._console.debug
        say(f"data network: {describe_network(self.network)}", event="network")
        mtus = describe_mtus(self.network.candidate)
        if mtus:
            self._console.warning(mtus)

    def _give_up(self, why: str) -> None:
        self._networks_decided = True
        self._console.warning(
            "no network was found on which each host reaches the next; NCCL, Gloo and MPI choose"
            f" by themselves, and may hang:\n  {why}"
        )


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _mbit_per_second(event: Mapping[str, object]) -> float:
    size, seconds = event.get("bytes"), event.get("seconds")
    if not isinstance(size, int) or not isinstance(seconds, float | int):
        return 0.0
    possible = 0 <= size <= _RATE_BYTES and _CLOCK_SECONDS <= seconds <= _GIVE_UP_SECONDS
    return size * 8 / 1e6 / seconds if possible else 0.0
