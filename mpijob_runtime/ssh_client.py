"""What ssh(1) asks about each host, by /etc/ssh/ssh_config.d/mpijob.conf.

Layer: effects (files); imports carried, run_dir, and ssh_access only where it is needed: every
``ssh HOST`` of a user waits for this.
"""

from __future__ import annotations

import os
import sys

from mpijob_runtime import carried
from mpijob_runtime.run_dir import choose_run_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Do what the configuration asks: ``prepare HOST``, ``authority`` or ``connect HOST PORT``."""
    action, *words = sys.argv[1:]
    if action == "authority":
        _print_authority(choose_run_dir(os.environ.get(carried.RUN_DIR)))
        sys.exit(0)
    from mpijob_runtime import ssh_access
    from mpijob_runtime.errors import MpiJobError

    try:
        settings = ssh_access.read_settings(os.environ)
        if action == "connect":
            ssh_access.connect(settings, words[0], int(words[1]))
        elif ssh_access.belongs_to_job(settings, words[0]):
            ssh_access.prepare(settings)
        else:
            sys.exit(1)
    except (MpiJobError, OSError) as error:
        sys.exit(f"mpijob: {error}")
    sys.exit(0)


def _print_authority(run_dir: str) -> None:
    """Print the line of known_hosts that accepts the job's hosts and no others."""
    if os.lstat(run_dir).st_uid != os.geteuid():
        sys.exit(f"mpijob: {run_dir}: found a directory of another user, wanted our own")
    with open(f"{run_dir}/known_hosts", encoding="ascii") as file:
        sys.stdout.write(file.read())
