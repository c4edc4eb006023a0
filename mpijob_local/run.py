"""Put a run together: claim the job, make its world, run it, remove it."""

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mpijob_local.attempts import BASE_SECONDS, RetryPolicy
from mpijob_local.claims import prepare_claims
from mpijob_local.containers import ImageConfig
from mpijob_local.hook import install_hook
from mpijob_local.images import check_implementation, check_non_root, read_images
from mpijob_local.job import JobRun, Outcome, TimeLimits, closing
from mpijob_local.keys import make_key_pair
from mpijob_local.layout import Layout, lay_out
from mpijob_local.links import (
    check_can_shape,
    choose_congestion_control,
    read_allowed_congestion_controls,
)
from mpijob_local.machine import MachineFacts, effective_capabilities
from mpijob_local.models import MPIJob
from mpijob_local.network import Forwarding, JobNetwork, create_networks
from mpijob_local.node import Node
from mpijob_local.operators import MPI_OPERATOR, Operator
from mpijob_local.output import LogPrinter, Reporter
from mpijob_local.pod import HOSTFILE, PRIVATE_KEY, PUBLIC_KEY
from mpijob_local.podman import Engine
from mpijob_local.pods import RunningPods
from mpijob_local.rates import format_rate
from mpijob_local.removal import list_pods, remove_containers, remove_job
from mpijob_local.signals import Interrupted
from mpijob_local.state import JobState

_CROWDED_ENV = {"OMP_NUM_THREADS": "1", "OMPI_MCA_mpi_yield_when_idle": "1"}
"""What lets more ranks than cores make progress: idle ranks would keep the cores busy."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line says about a run.

    Attributes:
        keep: leave pods behind as cleanPodPolicy says instead of removing everything.
        timeout_seconds: limit for the whole run.
        backoff_seconds: first pause between attempts.
        nologin_entry: imitate the passwd entry that CRI-O injects.
        launcher_only: print the launcher's output alone, without its name.
        operator: whose way the job is laid out.
        rates: a network for each, with the rate of its links in bits per second; None is
            unshaped.
        claims: the directory of each PersistentVolumeClaim.
    """

    keep: bool = False
    timeout_seconds: float | None = None
    backoff_seconds: float = BASE_SECONDS
    nologin_entry: bool = False
    launcher_only: bool = False
    operator: Operator = MPI_OPERATOR
    rates: tuple[int | None, ...] = (None,)
    claims: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Workplace:
    """What every run on this machine shares."""

    engine: Engine
    facts: MachineFacts
    home: Path
    reporter: Reporter
    coloured: bool


def run_job(job: MPIJob, place: Workplace, options: RunOptions) -> Outcome:
    """Run a job to its end and clean up.

    Raises:
        UsageError: the job is running already.
        ConfigurationError: an image is missing or has another MPI, a claim's directory cannot be
            made, links cannot be shaped, or podman refuses.
        Interrupted: by SIGINT or SIGTERM; everything has been removed.
    """
    if any(options.rates):
        check_can_shape(
            rootless=place.facts.rootless, effective_capabilities=effective_capabilities()
        )
    layout = _layout(job, options.operator, place.reporter)
    name = f"{layout.namespace}/{layout.job}"
    images = read_images(place.engine, (pod.container.image for pod in layout.pods))
    check_implementation(job.spec.mpi_implementation, images)
    for pod in layout.pods:
        check_non_root(pod, images[pod.container.image].user)
    state = JobState.of(place.home, namespace=layout.namespace, job=layout.job)
    with state.claim(name):
        # What an earlier run kept, or left when it was killed.
        remove_job(place.engine, name, home=place.home)
        with _removed_at_end(name, place, keep=options.keep):
            state.empty()
            for doubt in prepare_claims(layout.pods, options.claims):
                place.reporter.warn(doubt)
            node = _node(layout, state, place, options, images)
            outcome = _execute(job, layout, node, place, options)
            if options.keep:
                _clean_pods(name, layout.clean_pod_policy, place.engine)
    return outcome


@contextmanager
def _removed_at_end(name: str, place: Workplace, *, keep: bool) -> Iterator[None]:
    """Remove the job when the block ends, or only when it fails if it is to be kept."""
    try:
        try:
            yield
        except BaseException:
            remove_job(place.engine, name, home=place.home)
            raise
        if not keep:
            remove_job(place.engine, name, home=place.home)
    except Interrupted:
        # It may have come in the middle of the removal; it comes only once.
        remove_job(place.engine, name, home=place.home)
        place.reporter.warn("interrupted; everything of this run is removed")
        raise


def _layout(job: MPIJob, operator: Operator, reporter: Reporter) -> Layout:
    """Lay out the job; ranks that outnumber the cores are told to yield."""
    layout = lay_out(job, operator=operator)
    cores = len(os.sched_getaffinity(0))
    if layout.ranks <= cores:
        return layout
    settings = " ".join(f"{name}={value}" for name, value in _CROWDED_ENV.items())
    reporter.step(
        f"{layout.ranks} slots on {cores} cores: {settings} where not set in the manifest"
    )
    return lay_out(job, operator=operator, extra_env=_CROWDED_ENV.items())


def _node(
    layout: Layout,
    state: JobState,
    place: Workplace,
    options: RunOptions,
    images: Mapping[str, ImageConfig],
) -> Node:
    """Make the job's networks and its objects."""
    run = secrets.token_hex(4)
    if not place.facts.rootless:
        Forwarding(place.home).remember()
    networks = create_networks(
        place.engine,
        options.rates,
        namespace=layout.namespace,
        job=layout.job,
        pods=len(layout.pods),
        run=run,
    )
    for network in networks:
        place.reporter.step(_network_text(network, alone=len(networks) == 1))
    keys = make_key_pair()
    return Node(
        engine=place.engine,
        state=state,
        networks=networks,
        run=run,
        objects={
            PRIVATE_KEY: keys.private,
            PUBLIC_KEY: keys.public,
            HOSTFILE: layout.hostfile.encode(),
        },
        images=images,
        claims=options.claims,
        nologin_entry=options.nologin_entry,
        extra=_podman_arguments(place, options),
        podman_options=install_hook(state.hooks) if any(options.rates) else (),
    )


def _network_text(network: JobNetwork, *, alone: bool) -> str:
    """Say what a network is; one alone that nobody has shaped needs no words."""
    rate = network.bits_per_second
    text = f"network {network.subnet}"
    if alone and rate is None:
        return text
    return f"{text}: {network.interface}, {'unlimited' if rate is None else format_rate(rate)}"


def _podman_arguments(place: Workplace, options: RunOptions) -> tuple[str, ...]:
    """Return what every container of the job needs on this machine."""
    arguments = ("--security-opt=label=disable",) if place.facts.selinux else ()
    if not any(options.rates):
        return arguments
    control = choose_congestion_control(read_allowed_congestion_controls())
    return (*arguments, f"--sysctl=net.ipv4.tcp_congestion_control={control}")


def _execute(
    job: MPIJob, layout: Layout, node: Node, place: Workplace, options: RunOptions
) -> Outcome:
    policy = job.spec.run_policy
    width = max(len(pod.hostname) for pod in layout.pods)
    pods = RunningPods(
        node,
        place.reporter,
        LogPrinter(width, coloured=place.coloured, bare=options.launcher_only),
        restart_seconds=options.backoff_seconds,
        with_workers=not options.launcher_only,
        worker_attempts=_worker_attempts(job, options.operator),
    )
    run = JobRun(
        layout,
        pods,
        policy=RetryPolicy(policy.backoff_limit, layout.launcher.restarts, options.backoff_seconds),
        limits=TimeLimits(options.timeout_seconds, policy.active_deadline_seconds),
        reporter=place.reporter,
    )
    with closing(pods, run):
        return run.execute()


def _worker_attempts(job: MPIJob, operator: Operator) -> int | None:
    """Return how often a worker may run: a bare pod for ever, a Job's up to its limit."""
    if not operator.worker_failure_is_final:
        return None
    return RetryPolicy(job.spec.run_policy.backoff_limit, in_place=True).attempts


def _clean_pods(name: str, policy: str, engine: Engine) -> None:
    """Do to the workers what the operator does when the launcher has ended."""
    workers = [pod for pod in list_pods(engine, name) if pod.role == "worker"]
    if policy == "Running":
        workers = [pod for pod in workers if pod.state == "running"]
    if policy != "None":
        remove_containers(engine, (pod.container for pod in workers))
