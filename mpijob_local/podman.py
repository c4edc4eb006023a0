"""Run podman; the only module that does.

Every call is an argument tuple, never a shell's string, and runs in a session of its own so
that Ctrl-C reaches us and not a podman in the middle of its work.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mpijob_runtime.errors import ConfigurationError

INSTALL_HINT = (
    "install podman, netavark and aardvark-dns (apt-get install podman netavark aardvark-dns)"
)


Json = Any
"""Whatever podman prints as JSON."""


class PodmanError(ConfigurationError):
    """podman refused a command; the message carries its own words."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A podman command that ended."""

    arguments: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str

    @property
    def complaint(self) -> str:
        """The last words of podman, without its prefix."""
        lines = [line for line in self.stderr.splitlines() if line.strip()]
        return lines[-1].removeprefix("Error: ") if lines else f"exit code {self.exit_code}"


class Engine(Protocol):
    """What the rest of the package needs of podman; tests pass a fake."""

    def run(
        self, *arguments: str, accept: Sequence[int] = (0,), timeout_seconds: float | None = None
    ) -> Finished:
        """Run one command and return what it said."""
        ...


class Podman:
    """podman's command line.

    Args:
        environ: the environment for podman, with ``CONTAINERS_CONF`` where needed.
        executable: name or path of the program.
    """

    def __init__(self, environ: Mapping[str, str], *, executable: str = "podman") -> None:
        self._environ = dict(environ)
        self._executable = executable

    @property
    def environ(self) -> dict[str, str]:
        """The environment that podman runs in."""
        return dict(self._environ)

    def run(
        self, *arguments: str, accept: Sequence[int] = (0,), timeout_seconds: float | None = None
    ) -> Finished:
        """Run one command to its end.

        Args:
            arguments: the words after ``podman``.
            accept: exit codes that are no error; empty accepts all.
            timeout_seconds: kill podman after this time and raise.

        Raises:
            PodmanError: another exit code, or too slow.
            ConfigurationError: there is no podman.
        """
        try:
            process = subprocess.run(  # noqa: S603 argv is a tuple
                (self._executable, *arguments),
                env=self._environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                start_new_session=True,
                timeout=timeout_seconds,
            )
        except FileNotFoundError:
            raise missing_podman(self._executable) from None
        except subprocess.TimeoutExpired:
            message = f"podman {arguments[0]} did not end within {timeout_seconds:g} s"
            raise PodmanError(message) from None
        done = Finished(arguments, process.returncode, process.stdout, process.stderr)
        if accept and done.exit_code not in accept:
            message = f"podman {' '.join(arguments[:2])} failed: {done.complaint}"
            raise PodmanError(message)
        return done

    def stream(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start one command and return it with stdout and stderr as one pipe of lines."""
        try:
            return subprocess.Popen(  # noqa: S603 argv is a tuple
                (self._executable, *arguments),
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except FileNotFoundError:
            raise missing_podman(self._executable) from None


def read_json(engine: Engine, *arguments: str) -> Json:
    """Run a command whose output is JSON; podman prints nothing for an empty list."""
    text = engine.run(*arguments).stdout
    try:
        return json.loads(text or "[]")
    except json.JSONDecodeError:
        message = f"podman {' '.join(arguments[:2])} printed no JSON: {text[:80]!r}"
        raise PodmanError(message) from None


def missing_podman(executable: str) -> ConfigurationError:
    """Return the error for a machine without podman."""
    return ConfigurationError(f"{executable} is not installed", remedy=INSTALL_HINT)
