"""The hook by which a pod's links are shaped before its program starts.

podman makes the pod's network, the container runtime calls the hook (``createRuntime`` of the
OCI runtime specification, POSIX-platform hooks), then the program starts. Without it a program
would run unshaped until we have looked up its network, which takes seconds on a busy machine.

Layer: effects; as a program of its own it gets the container's state on stdin.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from mpijob_local.links import shape_link
from mpijob_runtime.errors import ConfigurationError, MpiJobError

RATES_ANNOTATION = "mpijob.local/rates"
_TIMEOUT_SECONDS = 60
# Where podman looks for hooks (oci-hooks(5)) unless it is told where.
_USUAL_DIRECTORIES = ("/usr/share/containers/oci/hooks.d", "/etc/containers/oci/hooks.d")


def install_hook(directory: Path) -> tuple[str, ...]:
    """Write the hook and return the options of ``podman`` that make it and the usual ones count."""
    directory.mkdir()
    hook = {
        "version": "1.0.0",
        "hook": {
            "path": sys.executable,
            "args": [sys.executable, "-I", "-m", __name__, str(directory)],
            "env": [f"PATH={os.environ.get('PATH', os.defpath)}"],
            "timeout": _TIMEOUT_SECONDS,
        },
        "when": {"annotations": {f"^{RATES_ANNOTATION}$": ".+"}},
        "stages": ["createRuntime"],
    }
    (directory / "links.json").write_text(json.dumps(hook), encoding="utf-8")
    usual = filter(os.path.isdir, _USUAL_DIRECTORIES)
    return tuple(f"--hooks-dir={path}" for path in (*usual, directory))


def annotation(rates: Mapping[str, int | None]) -> str:
    """Return what tells the hook the rates: interface -> bits per second, None left out."""
    shaped = (f"{interface}={rate}" for interface, rate in rates.items() if rate is not None)
    # No comma and no quote: podman reads the option as CSV.
    return f"--annotation={RATES_ANNOTATION}={' '.join(shaped)}"


def check_shaped(directory: Path, container: str) -> None:
    """Refuse to go on with a container whose links the hook has not shaped.

    Args:
        directory: of the hook.
        container: its identifier, as podman prints it.

    Raises:
        ConfigurationError: podman has not run the hook.
    """
    if not (directory / container).exists():
        message = f"the links of container {container[:12]} have no rate: podman ran no hook"
        remedy = "podman on this machine itself is needed (no CONTAINER_HOST), with runc or crun"
        raise ConfigurationError(message, remedy=remedy)


def shape(state: Mapping[str, object], directory: Path) -> None:
    """Shape the links of a container and leave a mark that it was done.

    Args:
        state: of the container, as the runtime tells it.
        directory: of the hook.

    Raises:
        ConfigurationError: a link could not be shaped.
    """
    annotations = state["annotations"]
    rates = annotations[RATES_ANNOTATION] if isinstance(annotations, dict) else ""
    for word in rates.split():
        interface, _, rate = word.partition("=")
        shape_link(f"/proc/{state['pid']}/ns/net", interface, int(rate))
    (directory / str(state["id"])).touch()


if __name__ == "__main__":
    try:
        shape(json.load(sys.stdin), Path(sys.argv[1]))
    except MpiJobError as error:
        # The runtime shows it; podman shows the last line of what the runtime shows.
        sys.exit(error.message)
