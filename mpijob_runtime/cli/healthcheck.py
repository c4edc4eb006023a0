"""``mpijob-runtime healthcheck``."""

import socket

import click

from mpijob_runtime.cli.options import read_settings
from mpijob_runtime.settings import Flags

_SECONDS = 2.0
_BANNER = b"SSH-2.0"


@click.command("healthcheck")
def command() -> int:
    """End with 0 if this container's sshd answers; for a worker's readiness probe.

    \b
    Example, in a pod's spec:
      readinessProbe: {exec: {command: [mpijob-runtime, healthcheck]}}
    """
    port = read_settings(Flags()).ssh_port
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection:
            found = connection.recv(64)
            connection.sendall(b"SSH-2.0-healthcheck\r\n")  # or sshd logs each check as an error
    except OSError as error:
        click.echo(f"port {port}: {error.strerror or error}", err=True)
        return 1
    if not found.startswith(_BANNER):
        click.echo(f"port {port}: found {found!r}, wanted an ssh banner", err=True)
        return 1
    return 0
