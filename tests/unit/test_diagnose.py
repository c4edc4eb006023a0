import signal

import pytest

from mpijob_runtime.diagnose import diagnose
from mpijob_runtime.observation import OUTSIDE, Observation, Stop

HOSTS = {f"w{number}.job.svc": [number] for number in range(4)}


@pytest.fixture
def observe(make_record):
    """Return a builder of observations: four ranks that started, and what is given."""

    def build(*exits, code=0, started=4, **more):
        starts = [make_record("start", rank, at=rank * 0.1) for rank in range(started)]
        seen = {
            "mpirun_code": code,
            "mpirun_signal": None,
            "signals": (),
            "records": [*starts, *exits],
            "hosts": HOSTS,
            "world_size": 4,
            "recorded": True,
            "proof": "proved",
            "stop": None,
            "lost_hosts": (),
            "last_words": {},
            "mpirun_said": "",
            "major": 5,
            "arguments": (),
            "daemons_ended": {},
            "phases_seconds": {"wait": 1.0, "run": 10.0},
            "opened_seconds": 0.3,
        }
        return Observation(**(seen | more))

    return build


TERM, KILL, SEGV = signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV

# exits as (rank, seconds, what), mpirun's code -> first rank, exit code, words of the cause
FIRST = {
    "one failed, the rest were ended": (
        [(2, 5.0, {"exit_code": 3}), (0, 5.1, {"signal": TERM}), (1, 5.2, {"signal": KILL})],
        3,
        (2, 3, "rank 2 on w2 failed first: exit code 3"),
    ),
    "victims by a wrong clock look earlier": (
        [(2, 5.0, {"exit_code": 3}), (0, 4.0, {"signal": TERM})],
        3,
        (2, 3, "exit code 3"),
    ),
    "two failed, mpirun saw the later one first": (
        [(1, 5.0, {"exit_code": 4}), (2, 5.1, {"exit_code": 3})],
        3,
        (2, 3, "rank 2"),
    ),
    "the same code twice: the earlier": (
        [(3, 5.1, {"exit_code": 1}), (1, 5.0, {"exit_code": 1})],
        1,
        (1, 1, "rank 1"),
    ),
    "mpirun's own code fits nobody: the earliest of their own": (
        [(0, 4.0, {"signal": TERM}), (1, 5.0, {"exit_code": 9})],
        1,
        (1, 1, "exit code 9"),
    ),
    "crash": (
        [(1, 5.0, {"signal": SEGV}), (0, 5.1, {"signal": TERM})],
        139,
        (1, 139, "signal 11 (SIGSEGV)"),
    ),
    "killed from outside, nobody else failed": (
        [(1, 5.0, {"signal": KILL})],
        137,
        (1, 137, "signal 9 (SIGKILL)"),
    ),
    "out of memory": (
        [(3, 5.0, {"signal": KILL, "oom_kills": 1}), (0, 5.1, {"signal": TERM})],
        137,
        (3, 137, "rank 3 on w3 was killed for memory (OOM)"),
    ),
    "program not found": (
        [(rank, 0.1 * rank, {"exit_code": 127}) for rank in range(4)],
        132,
        (0, 127, "program not found (exit code 127)"),
    ),
    "good ends before the failure": (
        [(0, 1.0, {"exit_code": 0}), (1, 5.0, {"exit_code": 2})],
        2,
        (1, 2, "rank 1"),
    ),
}


@pytest.mark.parametrize(("exits", "code", "expected"), FIRST.values(), ids=FIRST.keys())
def test_the_first_failure_is_found_among_its_victims(exits, code, expected, observe, make_record):
    """The rank that failed by itself is named, not those that were ended because of it."""
    records = [make_record("exit", rank, at=at, **what) for rank, at, what in exits]
    found = diagnose(observe(*records, code=code))
    rank, exit_code, words = expected
    assert found.outcome == "failed"
    assert found.exit_code == exit_code
    assert found.first_failure.rank == rank
    assert words in found.reason


def test_later_ends_are_evidence(observe, make_record):
    """What happened to the others, and how much later, supports the cause."""
    exits = [
        make_record("exit", 2, at=5.0, exit_code=3),
        make_record("exit", 0, at=5.25, signal=15),
        make_record("exit", 1, at=6.0, signal=15),
    ]
    found = diagnose(observe(*exits, code=3)).first_failure
    assert found.evidence == ("ranks 0-1 ended 250 ms or more later, by their hosts' clocks",)


def test_evidence_does_not_claim_that_an_earlier_end_was_later(observe, make_record):
    """A victim whose host's clock is behind is not said to have ended a negative time later."""
    exits = [
        make_record("exit", 2, at=5.0, exit_code=3),
        make_record("exit", 0, at=4.0, signal=15),
    ]
    found = diagnose(observe(*exits, code=3)).first_failure
    assert not any("-1000 ms" in sentence for sentence in found.evidence)


def test_success_names_ranks_and_hosts(observe, make_record):
    """All is well: the code is 0 and the reason counts."""
    exits = [make_record("exit", rank, at=9.0, exit_code=0) for rank in range(4)]
    found = diagnose(observe(*exits))
    assert (found.outcome, found.exit_code) == ("succeeded", 0)
    assert found.reason == "4 ranks on 4 hosts"
    assert found.first_failure is None
    assert found.hosts == {f"w{n}.job.svc": [n] for n in range(4)}


def test_success_without_records_is_said_to_be_unproved(observe):
    """Without the wrapper an exit code of 0 is believed, and the gap is said."""
    found = diagnose(observe(records=[], hosts={"w0": []}, recorded=False))
    assert (found.outcome, found.exit_code, found.ranks_started) == ("succeeded", 0, 0)
    assert "unproved" in found.reason


@pytest.mark.parametrize("world_size", [4, None], ids=["asked", "told by the ranks"])
def test_mpiruns_success_with_missing_records_is_no_success(world_size, observe, make_record):
    """A worker that dies before its rank's first record must not hide behind Open MPI 5's 0."""
    exits = [make_record("exit", rank, at=9.0, exit_code=0) for rank in range(3)]
    seen = {"hosts": {"w0": [0, 1, 2]}, "lost_hosts": ("w3",), "world_size": world_size}
    found = diagnose(observe(*exits, started=3, **seen))
    assert (found.outcome, found.exit_code) == ("failed", 75)
    assert "only 3 of 4 ranks left a record; lost w3" in found.reason


def test_mpiruns_success_with_all_hosts_lost_is_no_success(observe):
    """No record at all, and nobody left to ask."""
    seen = {"hosts": {"w0": []}, "lost_hosts": ("w0",), "world_size": None}
    found = diagnose(observe(records=[], **seen))
    assert (found.outcome, found.exit_code) == ("failed", 75)


@pytest.mark.parametrize(("recorded", "expected"), [(True, 127), (False, 134)])
def test_an_abort_without_records_is_no_missing_program(recorded, expected, observe):
    """134 is also SIGABRT: it means a missing program only if ranks would have left records."""
    found = diagnose(observe(records=[], hosts={"w0": []}, code=134, recorded=recorded))
    assert found.exit_code == expected


def test_a_rank_that_never_ended_is_no_success(observe, make_record):
    """Open MPI 5 ends with 0 when it loses a daemon: 75, with the ranks that are missing."""
    exits = [make_record("exit", rank, at=9.0, exit_code=0) for rank in range(3)]
    found = diagnose(observe(*exits))
    assert (found.outcome, found.exit_code) == ("failed", 75)
    assert "rank 3 left no end" in found.reason


def test_a_rank_that_failed_is_no_success_whatever_mpirun_says(observe, make_record):
    """Mpirun's 0 does not hide a rank's own code."""
    exits = [make_record("exit", rank, at=9.0, exit_code=int(rank == 2)) for rank in range(4)]
    found = diagnose(observe(*exits))
    assert (found.outcome, found.exit_code) == ("failed", 1)
    assert found.first_failure.rank == 2


def test_a_host_that_goes_away_after_all_ranks_succeeded_is_no_failure(observe, make_record):
    """Every rank's record says 0 and so does mpirun: a connection that breaks later is no news."""
    exits = [make_record("exit", rank, at=9.0, exit_code=0) for rank in range(4)]
    found = diagnose(observe(*exits, lost_hosts=("w3.job.svc",)))
    assert (found.outcome, found.exit_code) == ("succeeded", 0)


STOPS = {
    "misplaced": (Stop("misplaced", "w0: planned 1"), "failed", 76, "w0: planned 1"),
    "missing program": (
        Stop("missing program", "rank 2 on w2", 2),
        "not_started",
        127,
        "program not found: rank 2 on w2",
    ),
    "host ending": (
        Stop("host ending", "w3.job.svc"),
        "preempted",
        75,
        "w3 was told to end (SIGTERM to its pod)",
    ),
    "hung": (Stop("hung", "no rank started"), "failed", 75, "mpirun hung: no rank started"),
    "stalled": (Stop("stalled", "the job makes no progress"), "failed", 75, "no progress"),
    "lost host": (
        Stop("lost host", "w3.job.svc"),
        "failed",
        75,
        "host w3, which had rank 3, was lost while the job ran",
    ),
}


@pytest.mark.parametrize("row", STOPS.values(), ids=STOPS.keys())
@pytest.mark.parametrize("mpirun_code", [0, 1, 137, 143])
def test_why_we_ended_a_job_is_its_reason(row, mpirun_code, observe, make_record):
    """Victims of our own ending, and mpirun's code for it, are not taken for the cause."""
    stop, outcome, code, words = row
    exits = [make_record("exit", rank, at=5.0, signal=15) for rank in range(3)]
    lost = ("w3.job.svc",) if stop.kind == "lost host" else ()
    found = diagnose(observe(*exits, code=mpirun_code, stop=stop, lost_hosts=lost))
    assert (found.outcome, found.exit_code) == (outcome, code)
    assert words in found.reason


def test_a_lost_host_is_the_first_failure(observe, make_record):
    """The report names host and rank, and who went with it, in the order of the losses."""
    exits = [make_record("exit", rank, at=5.0, signal=15) for rank in range(2)]
    lost = ("w3.job.svc", "w2.job.svc")
    found = diagnose(observe(*exits, code=1, stop=Stop("lost host", lost[0]), lost_hosts=lost))
    failure = found.first_failure
    assert (failure.rank, failure.host) == (3, "w3.job.svc")
    assert (failure.exit_code, failure.signal) == (None, None)
    assert "w2 as well" in failure.cause


@pytest.mark.parametrize(
    ("hosts", "reason"),
    [({"l": [0, 1]}, "OWN"), ({"w0": [2], "l": [0, 1]}, "3 ranks on 2 hosts; OWN")],
)
def test_a_success_on_the_launcher_itself_is_called_that(hosts, reason, observe, make_record):
    """``1 host`` would be taken for a worker."""
    ranks = [rank for placed in hosts.values() for rank in placed]
    ends = [make_record("exit", rank, exit_code=0) for rank in ranks]
    seen = {"hosts": hosts, "own_ranks": "OWN", "world_size": len(ranks)}
    assert diagnose(observe(*ends, **seen)).reason == reason


def test_many_lost_hosts_do_not_fill_the_log(observe):
    """A switch that fails takes a hundred hosts: the first are named, the others counted."""
    lost = [f"w{number}.job.svc" for number in range(100)]
    stop, hosts = Stop("lost host", lost[0]), dict.fromkeys(lost, ())
    seen = observe(code=1, stop=stop, lost_hosts=lost, hosts=hosts)
    cause = diagnose(seen).first_failure.cause
    assert "; w1, w2, w3, w4, w5, w6, w7, w8 … and 91 more as well" in cause


@pytest.mark.parametrize("kind", ["host ending", "hung", "stalled", "missing program"])
def test_ranks_that_we_ended_are_no_first_failure(kind, observe, make_record):
    """A rank that dies of our SIGTERM is not said to have failed first."""
    exits = [make_record("exit", rank, at=5.0, signal=15) for rank in range(4)]
    assert diagnose(observe(*exits, code=143, stop=Stop(kind, "w0"))).first_failure is None


@pytest.mark.parametrize("kind", ["host ending", "hung", "stalled", "lost host"])
def test_a_signal_from_outside_counts_more_than_our_own_end(kind, observe):
    """Who was told to end says so, whatever was found meanwhile."""
    seen = {"signals": (signal.SIGTERM,), "lost_hosts": ("w3.job.svc",)}
    found = diagnose(observe(code=143, stop=Stop(kind, "w3.job.svc"), **seen))
    assert (found.outcome, found.exit_code) == ("preempted", 75)
    assert "SIGTERM" in found.reason


@pytest.mark.parametrize(("kind", "code"), [("misplaced", 76), ("missing program", 127)])
def test_a_signal_does_not_hide_what_no_retry_can_mend(kind, code, observe):
    """Ranks in the wrong place, or without their program, would be so again."""
    found = diagnose(observe(code=143, stop=Stop(kind, "x"), signals=(signal.SIGTERM,)))
    assert found.exit_code == code


def test_a_slow_end_is_a_success_if_all_ranks_ended_well(observe, make_record):
    """The program has succeeded; that mpirun alone did not end is said."""
    exits = [make_record("exit", rank, at=9.0, exit_code=0) for rank in range(4)]
    found = diagnose(observe(*exits, code=143, stop=Stop("slow end", "")))
    assert (found.outcome, found.exit_code) == ("succeeded", 0)
    assert found.reason == "4 ranks on 4 hosts; mpirun had to be ended"


def test_a_slow_end_is_no_success_if_a_rank_is_missing(observe, make_record):
    """A rank that left no end is named, and the job is worth a retry."""
    exits = [make_record("exit", rank, at=9.0, exit_code=0) for rank in range(3)]
    found = diagnose(observe(*exits, code=143, stop=Stop("slow end", "")))
    assert (found.outcome, found.exit_code) == ("failed", 75)
    assert "rank 3 left no end" in found.reason


def test_a_slow_end_after_a_failure_is_that_failure(observe, make_record):
    """The rank that failed is the cause, not that mpirun had to be ended for it."""
    exits = [make_record("exit", 1, at=5.0, exit_code=3), make_record("exit", 0, at=9.0, signal=15)]
    found = diagnose(observe(*exits, code=143, stop=Stop("slow end", "")))
    assert (found.outcome, found.exit_code, found.first_failure.rank) == ("failed", 3, 1)
    assert "exit code 3" in found.reason


@pytest.mark.parametrize("signals", [[], [15, 15], [9]], ids=["none", "victims", "killed"])
def test_a_killed_mpirun_is_said(signals, observe, make_record):
    """Somebody killed mpirun: its ranks' ends follow from that."""
    exits = [make_record("exit", n, at=5.0, signal=number) for n, number in enumerate(signals)]
    found = diagnose(observe(*exits, code=137, mpirun_signal=9))
    assert (found.outcome, found.exit_code) == ("failed", 137)
    assert found.reason == "mpirun itself was ended by signal 9 (SIGKILL), not by us"
    assert found.first_failure is None


def test_a_rank_that_failed_before_mpirun_was_killed_is_the_cause(observe, make_record):
    """A rank's own code is worth more than what became of mpirun and its other ranks later."""
    exits = [make_record("exit", 1, at=5.0, exit_code=3), make_record("exit", 0, at=9.0, signal=9)]
    found = diagnose(observe(*exits, code=137, mpirun_signal=9))
    assert (found.exit_code, found.first_failure.rank) == (3, 1)
    assert "exit code 3" in found.reason


def test_a_vanished_rank_is_said_to_have_vanished(observe, make_record):
    """A wrapper that was killed leaves no word of how its program ended."""
    exits = [make_record("vanished", 2, at=5.0), make_record("exit", 0, at=5.1, signal=15)]
    found = diagnose(observe(*exits, code=137))
    assert (found.outcome, found.first_failure.rank) == ("failed", 2)
    assert found.reason == "rank 2 on w2 vanished: its wrapper was killed with it"


def test_a_vanished_rank_is_no_success_whatever_mpirun_says(observe, make_record):
    """Mpirun's 0 with a rank of which nobody knows the end is no success."""
    exits = [make_record("exit", rank, at=9.0, exit_code=0) for rank in range(3)]
    found = diagnose(observe(*exits, make_record("vanished", 3, at=9.0)))
    assert found.outcome == "failed"
    assert found.exit_code != 0


TRACEBACK = """\
Traceback (most recent call last):
  File "/train.py", line 7, in main
    1 / 0
ZeroDivisionError: division by zero
"""


def test_last_words_of_the_first_failure_are_in_the_cause(observe, make_record):
    """The exception and its place are said with the rank that raised it, not another's."""
    exits = [make_record("exit", 2, at=5.0, exit_code=1), make_record("exit", 0, at=5.1, signal=15)]
    words = {2: TRACEBACK, 0: TRACEBACK.replace("ZeroDivision", "Key")}
    found = diagnose(observe(*exits, code=1, last_words=words))
    expected = "rank 2 on w2 failed first: exit code 1: ZeroDivisionError: division by zero"
    assert found.reason == expected
    assert found.first_failure.evidence[0] == "raised at /train.py, line 7, in main"


GLOO = "terminate called: [gloo/transport/tcp/pair.cc:589] Read error: Connection reset by peer"


@pytest.mark.parametrize(
    ("words", "later", "rank"),
    [
        ({1: GLOO, 2: TRACEBACK}, 0.05, 2),
        ({1: GLOO, 2: TRACEBACK}, 5.0, 1),
        ({1: GLOO, 2: GLOO}, 0.05, 1),
        ({1: TRACEBACK, 2: TRACEBACK}, 0.05, 1),
        ({1: GLOO}, 0.05, 2),
    ],
)
def test_a_rank_that_lost_its_peer_is_not_the_first(observe, make_record, words, later, rank):
    """Its peer is, if that ended a moment later by the clock and lost nobody itself."""
    exits = [
        make_record("exit", 1, at=5.0, exit_code=None, signal=6),
        make_record("exit", 2, at=5.0 + later, exit_code=1),
        make_record("exit", 0, at=5.2, signal=15),
    ]
    found = diagnose(observe(*exits, code=134, last_words=words))
    assert found.first_failure.rank == rank


@pytest.mark.parametrize(
    ("proof", "stop", "expected"),
    [
        ("proved", None, "proved"),
        ("unproved: why", None, "unproved: why"),
        (None, None, "unproved: not all ranks were seen"),
        (None, Stop("misplaced", "w0"), "disproved"),
        ("proved", Stop("stalled", "x"), "proved"),
    ],
)
def test_the_spread_is_part_of_the_outcome(proof, stop, expected, observe):
    """Whether ranks are where the plan put them is a fact of its own."""
    assert diagnose(observe(code=1, proof=proof, stop=stop)).spread == expected


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_from_outside_is_preemption(number, observe, make_record):
    """SIGTERM to the launcher ends with 75, worth a retry; victims are no cause."""
    exits = [make_record("exit", 0, at=5.0, signal=15)]
    found = diagnose(observe(*exits, code=143, signals=(number,)))
    assert (found.outcome, found.exit_code) == ("preempted", 75)
    assert number.name in found.reason


def test_an_interrupt_is_no_preemption(observe):
    """Ctrl-C ends with 130: somebody wanted it."""
    found = diagnose(observe(code=1, signals=(signal.SIGINT, signal.SIGINT)))
    assert (found.outcome, found.exit_code) == ("failed", 130)


def test_a_lost_host_without_records_is_worth_a_retry(observe):
    """Mpirun failed and a host does not answer any more: 75, with its name."""
    seen = observe(code=255, lost_hosts=("w3.job.svc",))
    found = diagnose(seen)
    assert (found.outcome, found.exit_code) == ("failed", 75)
    assert "host w3, which had rank 3, was lost" in found.reason
    assert "w3.job.svc" in found.first_failure.evidence[0]


def test_a_lost_host_is_the_cause_when_the_rest_are_victims(observe, make_record):
    """Ranks that mpirun ended because a host was lost are not said to have failed first."""
    exits = [make_record("exit", rank, at=5.0, signal=15) for rank in range(3)]
    seen = observe(*exits, code=1, lost_hosts=("w3.job.svc",))
    found = diagnose(seen)
    assert found.exit_code == 75
    assert "host w3, which had rank 3, was lost" in found.reason
    assert "w3.job.svc" in found.first_failure.evidence[0]


def test_a_lost_host_does_not_hide_a_rank_that_failed_by_itself(observe, make_record):
    """A rank's own exit code is the cause even if a host went away at the end."""
    exits = [make_record("exit", 1, at=5.0, exit_code=3)]
    seen = observe(*exits, code=3, lost_hosts=("w3.job.svc",))
    assert diagnose(seen).exit_code == 3


def test_mpirun_that_fails_alone_is_said(observe):
    """No record of a failure: the reason has mpirun's code, which is no rank's and no signal."""
    found = diagnose(observe(code=213, started=0))
    assert (found.outcome, found.exit_code, found.first_failure) == ("failed", 1, None)
    assert "mpirun ended with 213" in found.reason


@pytest.mark.parametrize(("given", "expected"), [(4, 4), (None, 4)])
def test_the_world_size_comes_from_the_plan_or_the_ranks(given, expected, observe):
    """A verbatim mpirun's world size is what the ranks were told."""
    assert expected == diagnose(observe(world_size=given)).world_size


def test_the_world_size_is_unknown_if_nothing_tells(observe):
    """Neither the plan nor a rank: null."""
    assert diagnose(observe(records=[], world_size=None)).world_size is None


def test_start_lasts_until_the_gate_opened(observe):
    """The start phase ends when all ranks are let through; run is the rest."""
    found = diagnose(observe()).phases_seconds
    assert found == {"wait": 1.0, "start": pytest.approx(0.3), "run": pytest.approx(9.7)}


@pytest.mark.parametrize("skew", [-5000.0, 5000.0])
def test_a_wrong_clock_changes_no_phase(skew, observe, make_record):
    """Hosts' clocks may be off: phases are measured by the launcher's."""
    found = diagnose(observe(records=[make_record("start", 0, at=skew)])).phases_seconds
    assert found == {"wait": 1.0, "start": pytest.approx(0.3), "run": pytest.approx(9.7)}


def test_nothing_started_is_all_start(observe):
    """Without a rank's start, the run phase did not begin."""
    phases = {"wait": 1.0, "run": 2.0}
    nothing = {"records": [], "hosts": {"w0": []}, "opened_seconds": None}
    seen = observe(code=1, phases_seconds=phases, **nothing)
    assert diagnose(seen).phases_seconds == {"wait": 1.0, "start": 2.0}


LOST_DAEMON = (
    "PRTE has lost communication with a remote daemon.\n\n"
    "  HNP daemon   : [p@0,0] on node launcher\n"
    "  Remote daemon: [p@0,1] on node w1\n"
)


@pytest.mark.parametrize(
    ("ended", "code", "words"),
    [
        (139, 139, "Open MPI's daemon on w1 crashed: signal 11 (SIGSEGV)"),
        (134, 134, "Open MPI's daemon on w1 crashed: signal 6 (SIGABRT)"),
        (137, 75, "Open MPI's daemon on w1 was killed: signal 9 (SIGKILL)"),
        (255, 1, "Open MPI's daemon on w1 crashed, and its ranks with it; the host is there"),
        (0, 75, "Open MPI's daemon on w1 ended, and its ranks with it; the host is there"),
    ],
)
def test_a_daemons_own_end_is_named_as_that(ended, code, words, observe, make_record):
    """Its ranks are its victims; a crash is not worth a retry, a kill from outside is."""
    exits = [make_record("vanished", 1, at=5.0), make_record("exit", 0, at=5.1, signal=TERM)]
    daemons = {"w1.job.svc": ended, "w0.job.svc": 1}
    seen = observe(*exits, code=1, mpirun_said=LOST_DAEMON, daemons_ended=daemons)
    found = diagnose(seen)
    assert (found.exit_code, found.reason) == (code, words)


def test_a_rank_killed_for_memory_is_not_hidden_by_its_daemons_end(observe, make_record):
    """The memory limit is the cause, whoever else goes with it."""
    exits = [make_record("exit", 1, at=5.0, signal=KILL, oom_kills=1)]
    daemons = {"w1.job.svc": 137}
    found = diagnose(observe(*exits, code=1, mpirun_said=LOST_DAEMON, daemons_ended=daemons))
    assert "killed for memory" in found.reason


@pytest.mark.parametrize(("code", "shown"), [(3, 3), (134, 1)])
def test_ranks_outside_of_the_plan_have_run_though_nobody_saw_them(code, shown, observe):
    """They leave no records: mpirun's own code is all there is, and it is a failure."""
    proof = f"unproved: mpirun was told to use elsewhere, {OUTSIDE}"
    nobody = {"hosts": {"w0.job.svc": []}, "records": ()}
    found = diagnose(observe(code=code, proof=proof, mpirun_said="", **nobody))
    assert (found.outcome, found.exit_code) == ("failed", shown)


def test_a_host_that_is_lost_is_no_crash_of_its_daemon(observe):
    """Mpirun says the same of both; our own connection tells them apart."""
    lost = {"lost_hosts": ("w1.job.svc",), "daemons_ended": {"w1.job.svc": 255}}
    found = diagnose(observe(code=1, mpirun_said=LOST_DAEMON, **lost))
    assert (found.exit_code, found.reason.startswith("host w1")) == (75, True)


def test_a_rank_that_fails_is_not_hidden_by_its_daemon(observe, make_record):
    """A rank with an exit code of its own is the first failure."""
    exits = [make_record("exit", 2, at=5.0, exit_code=3)]
    found = diagnose(
        observe(*exits, code=3, mpirun_said=LOST_DAEMON, daemons_ended={"w1.job.svc": 255})
    )
    assert (found.exit_code, found.first_failure.rank) == (3, 2)


def test_the_users_time_limit_is_the_reason(observe, make_record):
    """The ranks that mpirun has ended for it are victims."""
    said = "time limit for job execution has been reached:\n\n  Timeout: 3 seconds\n"
    exits = [make_record("exit", 0, at=5.0, signal=TERM)]
    found = diagnose(observe(*exits, code=241, mpirun_said=said))
    assert (found.outcome, found.exit_code) == ("failed", 110)
    assert found.reason == "the time limit of 3 s was reached (--timeout)"


@pytest.mark.parametrize(
    ("code", "more", "expected", "words"),
    [
        (181, {}, 78, "no such working directory"),
        (66, {"arguments": ("-bind-to", "none", "a")}, 64, "write --bind-to none"),
        (66, {"mpirun_said": "Node:    w1\n   Executable: nosuch\n"}, 127, "nosuch on w1"),
        (127, {"daemons_ended": {"w0.job.svc": 127}}, 78, "daemon on w0 ended with 127"),
        (250, {"daemons_ended": {"w0.job.svc": 1}}, 1, "mpirun ended with 250"),
        (0, {"arguments": ("--do-not-launch", "a")}, 0, "asked to launch nothing"),
    ],
)
def test_mpiruns_own_failure_before_any_rank(code, more, expected, words, observe):
    """Its codes have a meaning; what has none ends with 1, not with what looks like a signal."""
    given = {"records": [], "hosts": {"w0": []}, "opened_seconds": None, "world_size": None}
    found = diagnose(observe(code=code, **given, **more))
    assert found.exit_code == expected
    assert words in found.reason
