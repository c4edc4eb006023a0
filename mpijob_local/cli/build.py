"""``mpijob-local build``."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from mpijob_local.build import Builder, BuildOptions, find_context
from mpijob_local.images import EXAMPLE_REPOSITORY
from mpijob_local.machine import podman_for
from mpijob_local.output import Reporter, make_console
from mpijob_local.settings import LocalSettings

_TARGETS = ("runtime", "devel", "torch", "horovod", "cuda", "test", "torch-test")
_EPILOG = """\b
Examples:
  mpijob-local build
  mpijob-local build --target runtime --target torch --open-mpi 5.0
  mpijob-local build --base-image debian:bookworm-slim
  mpijob-local build examples/ddp                      mpijob-example:ddp-ompi4.1
  mpijob-local build ./train --tag my-training:1       a Containerfile of your own

Where no registry can be reached, the base image is made from Debian's packages with mmdebstrap.
pip's settings of this machine are used in the build and stay in no layer.
"""


@click.command(epilog=_EPILOG)
@click.argument(
    "own",
    metavar="[DIRECTORY]",
    required=False,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option("--tag", metavar="NAME", help="Name for the image of DIRECTORY.")
@click.option(
    "--target",
    "targets",
    multiple=True,
    type=click.Choice(_TARGETS),
    default=("runtime",),
    show_default=True,
    help="What to build. Repeatable.",
)
@click.option("--open-mpi", type=click.Choice(("4.1", "5.0")), default="4.1", show_default=True)
@click.option("--base-image", metavar="REF", default="", help="Build from this image.")
@click.option(
    "--build-arg",
    "arguments",
    multiple=True,
    metavar="NAME=VALUE",
    help="A further build argument. Repeatable.",
)
@click.option(
    "--context",
    "directory",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Directory of the Containerfile.  [default: the nearest from here upwards]",
)
@click.option("--no-cache", is_flag=True, help="Build every step, and the base, anew.")
@click.option("--json", "as_json", is_flag=True, help="Print what was built as a JSON list.")
@click.option("-q", "--quiet", is_flag=True, help="Say only what is wrong.")
@click.pass_context
def build(
    context: click.Context,
    *,
    own: Path | None,
    tag: str | None,
    targets: tuple[str, ...],
    open_mpi: str,
    base_image: str,
    arguments: tuple[str, ...],
    directory: Path | None,
    no_cache: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Build the images as mpijob-runtime:TARGET-ompiVERSION, or an image upon them.

    With a DIRECTORY its Containerfile is built; it gets the build argument OPEN_MPI.
    """
    settings: LocalSettings = context.obj
    podman, facts = podman_for(settings)
    reporter = Reporter(make_console(coloured=settings.coloured), quiet)
    builder = Builder(podman, facts, settings.environ, settings.home / "logs", reporter)
    if own is not None:
        options = BuildOptions(own, open_mpi, base_image, no_cache, arguments)
        name = tag or f"{EXAMPLE_REPOSITORY}:{own.resolve().name.lower()}-ompi{open_mpi}"
        images = [builder.build_upon(name, options)]
    else:
        where = find_context(Path.cwd()) if directory is None else directory
        options = BuildOptions(where, open_mpi, base_image, no_cache, arguments)
        images = list(builder.build(targets, options))
    if as_json:
        click.echo(json.dumps([asdict(image) for image in images], indent=2))
