"""``mpijob-local podman``."""

import os

import click

from mpijob_local.machine import podman_for
from mpijob_local.podman import missing_podman
from mpijob_local.settings import LocalSettings

_EPILOG = """\b
Examples:
  mpijob-local podman images
  mpijob-local podman run --rm mpijob-runtime:runtime-ompi4.1 mpijob-runtime probe
"""


@click.command(
    epilog=_EPILOG,
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def podman(context: click.Context, *, arguments: tuple[str, ...]) -> None:
    """Run podman itself with the settings that this machine needs."""
    settings: LocalSettings = context.obj
    engine, _facts = podman_for(settings)
    try:
        os.execvpe("podman", ("podman", *arguments), engine.environ)  # noqa: S606, S607 the user's words
    except FileNotFoundError:
        raise missing_podman("podman") from None
