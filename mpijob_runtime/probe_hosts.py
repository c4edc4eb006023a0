"""Asks the hosts what a launch would ask them, and starts nothing there: ``plan --probe-hosts``.

Layer: effects (ssh, threads); imports attempts, crew, survey, watch.
"""

import dataclasses
import threading
import time
from collections.abc import Mapping
from contextlib import closing

from mpijob_runtime.attempts import RunningAttempt
from mpijob_runtime.console import Console
from mpijob_runtime.crew import Start, join_all, join_here, write_files
from mpijob_runtime.facts import Facts
from mpijob_runtime.plan import LaunchPlan
from mpijob_runtime.rank_environ import rank_facts, show_rank_environ
from mpijob_runtime.settings import Settings
from mpijob_runtime.survey import Survey
from mpijob_runtime.watch import HostWatch, finish

_POLL_SECONDS = 0.05


def ask_hosts(settings: Settings, plan: LaunchPlan, facts: Facts, console: Console) -> LaunchPlan:
    """Return the plan with what its hosts decide; jobs that run on them are left alone.

    Raises:
        MpiJobError: if a host does not come, or cannot take part.
    """
    survey = _join_and_survey(settings, plan, facts, console)
    slots = {host.name: host.slots for host in plan.hosts.hosts}
    found = rank_facts(slots, survey.findings)
    environ = show_rank_environ(settings.environ, settings.forwarded, found)
    return dataclasses.replace(plan, rank_environ=environ)


def _join_and_survey(
    settings: Settings, plan: LaunchPlan, facts: Facts, console: Console
) -> Survey:
    write_files(plan)
    with closing(RunningAttempt(plan.paths.run_dir)) as attempt:
        crew: list[HostWatch] = []
        try:
            start = Start(settings, plan, facts, attempt, console, probing=True)
            crew.append(join_here(start))
            crew += join_all(start)
            names = {host.name for host in plan.hosts.hosts}
            survey = _survey([watch for watch in crew if watch.host in names], console)
            finish(crew)
        finally:
            for watch in crew:
                watch.close()
    return survey


def _survey(members: list[HostWatch], console: Console) -> Survey:
    survey, lock = Survey(console), threading.Lock()

    def note(host: str, event: Mapping[str, object]) -> None:
        with lock:
            survey.note(host, event)

    for watch in members:
        watch.follow(note, lambda *_: None, lambda _host: None)
    with lock:
        survey.begin(members)
    while not survey.decided:
        time.sleep(_POLL_SECONDS)
        with lock:
            survey.act(time.monotonic())
    return survey
