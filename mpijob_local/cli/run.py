"""``mpijob-local run``."""

from collections.abc import Iterable

import click

from mpijob_local.attempts import BASE_SECONDS
from mpijob_local.claims import parse_claims
from mpijob_local.job import Outcome
from mpijob_local.machine import podman_for
from mpijob_local.manifest import Manifest, Overrides, load_manifest
from mpijob_local.operators import OPERATORS
from mpijob_local.output import Reporter, make_console
from mpijob_local.pod import NETWORKS_ANNOTATION
from mpijob_local.rates import UNLIMITED, network_rates
from mpijob_local.run import RunOptions, Workplace, run_job
from mpijob_local.settings import LocalSettings
from mpijob_local.validation import remarks
from mpijob_runtime.cli.options import Time

# Far more than pods have; each is a bridge and, per pod, a pair of interfaces.
_MOST_NETWORKS = 8
_EPILOG = """\b
Examples:
  mpijob-local run examples/pi/pi.yaml
  mpijob-local run job.yaml --image localhost/my-image --workers 8
  mpijob-local run job.yaml --operator trainer    as Kubeflow Trainer v2 would lay it out
  mpijob-local run job.yaml --networks 2        a slow eth0 and a fast net1
  mpijob-local run job.yaml --rate 1gbit        one network, its links shaped
  mpijob-local run job.yaml --claim results=./results    what pods write there stays
  mpijob-local run -q job.yaml > result.txt     the launcher's output alone
  mpijob-local run job.yaml --ignore nvidia.com/gpu --ignore '*.volumes[1]'

Exits with the launcher's exit code. Without --keep everything is removed at the end, as when
the MPIJob is deleted.
"""


@click.command(epilog=_EPILOG)
@click.argument("manifest")
@click.option(
    "--operator",
    "operator_name",
    type=click.Choice(tuple(OPERATORS)),
    default=next(iter(OPERATORS)),
    show_default=True,
    help="Who lays the job out: mpi-operator v2beta1, or Kubeflow Trainer v2.",
)
@click.option("--image", metavar="REF", help="Use this image for all replicas.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Number of workers.")
@click.option("--namespace", metavar="NAME", help="Namespace.  [default: the manifest's]")
@click.option(
    "--ignore",
    multiple=True,
    metavar="FIELD",
    help="Leave out a field that is refused: its name, or a shell pattern of its path. Repeatable."
    " A refusal prints the options that leave out all of them.",
)
@click.option(
    "--networks",
    type=click.IntRange(1, _MOST_NETWORKS),
    default=1,
    show_default=True,
    metavar="N",
    help="Networks of each pod: eth0, then net1 and so on, as Multus names them; only those"
    f" replicas, if any has its annotation {NETWORKS_ANNOTATION}.",
)
@click.option(
    "--rate",
    "rates",
    multiple=True,
    metavar="RATE",
    help=f"What each link of a network can carry: 100mbit, 1gbit, {UNLIMITED}. Repeatable, in the"
    f" order of the networks.  [default: {UNLIMITED}; with more than one network 100mbit for the"
    " first and 500mbit for the others]",
)
@click.option(
    "--claim",
    "claim_texts",
    multiple=True,
    metavar="NAME=DIR",
    help="The directory that takes the place of a PersistentVolumeClaim, for all pods that name it."
    " Repeatable. It is made, writable for every user (mode 0777, group fsGroup), if it is"
    " missing; one that is there keeps its owner, mode and files. It stays at the end.",
)
@click.option("--keep", is_flag=True, help="Leave pods as cleanPodPolicy says; see ps and down.")
@click.option(
    "--timeout",
    type=Time(0, min_open=True),
    metavar="TIME",
    help="End the run after this time (seconds, or as 10m), with exit code 124.",
)
@click.option(
    "--backoff-seconds",
    type=click.FloatRange(0),
    default=BASE_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="First pause between attempts of the launcher; it doubles.",
)
@click.option(
    "--passwd-entry",
    type=click.Choice(("none", "nologin")),
    default="none",
    show_default=True,
    help="What a UID without a name gets: nothing as in containerd, or CRI-O's /sbin/nologin.",
)
@click.option("-q", "--quiet", is_flag=True, help="Only the launcher's output, without its name.")
@click.pass_context
def run(
    context: click.Context,
    *,
    manifest: str,
    operator_name: str,
    image: str | None,
    workers: int | None,
    namespace: str | None,
    ignore: tuple[str, ...],
    networks: int,
    rates: tuple[str, ...],
    claim_texts: tuple[str, ...],
    keep: bool,
    timeout: float | None,
    backoff_seconds: float,
    passwd_entry: str,
    quiet: bool,
) -> int:
    """Run the MPIJob of a MANIFEST (- for standard input) and wait for its end."""
    settings: LocalSettings = context.obj
    reporter = Reporter(make_console(coloured=settings.coloured), quiet)
    operator = OPERATORS[operator_name]
    shaped = network_rates(networks, rates)
    claims = parse_claims(claim_texts)
    overrides = Overrides(image, workers, namespace)
    loaded = load_manifest(
        manifest, overrides=overrides, ignore=ignore, operator=operator, claims=claims
    )
    _announce(loaded, reporter, remarks(loaded.job, networks=networks, claims=claims))
    engine, facts = podman_for(settings)
    options = RunOptions(
        keep=keep,
        timeout_seconds=timeout,
        backoff_seconds=backoff_seconds,
        nologin_entry=passwd_entry == "nologin",  # noqa: S105 no password
        launcher_only=quiet,
        operator=operator,
        rates=shaped,
        claims=claims,
    )
    place = Workplace(engine, facts, settings.home, reporter, settings.coloured)
    outcome = run_job(loaded.job, place, options)
    _conclude(loaded, outcome, reporter, keep=keep)
    return outcome.exit_code


def _announce(loaded: Manifest, reporter: Reporter, said: Iterable[str]) -> None:
    for name in loaded.ignored:
        reporter.warn(f"ignored as asked: {name}")
    for remark in said:
        reporter.warn(remark)


def _conclude(loaded: Manifest, outcome: Outcome, reporter: Reporter, *, keep: bool) -> None:
    name = loaded.job.metadata.name
    if keep:
        reporter.step(f"kept: mpijob-local ps; mpijob-local logs {name}; mpijob-local down {name}")
    attempts = "1 attempt" if outcome.attempts == 1 else f"{outcome.attempts} attempts"
    word = "Succeeded" if outcome.succeeded else f"Failed ({outcome.reason})"
    reporter.conclude(
        f"{name}: {word}, exit code {outcome.exit_code}, {attempts},"
        f" {reporter.elapsed_seconds:.1f} s",
        good=outcome.succeeded,
    )
