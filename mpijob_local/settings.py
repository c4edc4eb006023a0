"""The environment as mpijob-local reads it; the only module that looks at variables.

Layer: pure; the CLI passes ``os.environ`` in once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """What the environment says.

    Attributes:
        home: directory for what has to outlive one command (locks, volumes, logs).
        podman_settings: the user's own ``CONTAINERS_CONF``; ours is then not used.
        coloured: False with a non-empty ``NO_COLOR`` (no-color.org) or ``TERM=dumb``.
        environ: the whole environment, for the programs that are started.
    """

    home: Path
    podman_settings: str
    coloured: bool
    environ: Mapping[str, str]

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "LocalSettings":
        """Read the settings from a mapping such as ``os.environ``."""
        return cls(
            home=_home(environ),
            podman_settings=environ.get("CONTAINERS_CONF", ""),
            coloured=not environ.get("NO_COLOR") and environ.get("TERM") != "dumb",
            environ=dict(environ),
        )


def _home(environ: Mapping[str, str]) -> Path:
    """Return the state directory: ours, else XDG's, else XDG's default."""
    if own := environ.get("MPIJOB_LOCAL_HOME"):
        return Path(own).absolute()
    if base := environ.get("XDG_STATE_HOME"):
        return Path(base).absolute() / "mpijob-local"
    return Path(environ.get("HOME") or "/").absolute() / ".local" / "state" / "mpijob-local"
