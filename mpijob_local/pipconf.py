"""pip's settings on this machine, for the pip inside a build.

They travel as a secret of the build, so that no index, proxy or path of this machine stays in
an image.

Layer: pure, apart from ``read_pip_listing``.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Where the build finds the CA bundle (RUN --mount=type=secret,id=ca).
CA_SECRET_PATH = "/run/secrets/ca"  # noqa: S105 a path
_KEYS = (
    "index-url",
    "extra-index-url",
    "no-index",
    "find-links",
    "trusted-host",
    "timeout",
    "cert",
)
# Options whose values are URLs or paths
_PLACES = ("find-links", "index-url", "extra-index-url")
# pip takes both names for one option.
_SYNONYMS = {"default-timeout": "timeout"}


@dataclass(frozen=True, slots=True)
class PipSettings:
    """The settings that matter inside a build.

    Attributes:
        values: option name, as in pip.conf, to value.
    """

    values: Mapping[str, str]

    @property
    def ca_bundle(self) -> str:
        """Path of the CA bundle on this machine, or empty."""
        return self.values.get("cert", "")

    def volumes(self) -> dict[str, str]:
        """Return the local directories that pip reads, each with its place in the build.

        The place has a neutral name: an empty directory of that name stays in the image.
        """
        directories = dict.fromkeys(filter(None, map(_directory, self._places())))
        return {path: f"/run/pip-{number}" for number, path in enumerate(directories)}

    def inside(self) -> "PipSettings":
        """Return the settings as they hold inside the build."""
        volumes = self.volumes()
        values = {
            key: " ".join(_moved(word, volumes) for word in value.split())
            if key in _PLACES
            else value
            for key, value in self.values.items()
        }
        if self.ca_bundle:
            values["cert"] = CA_SECRET_PATH
        return replace(self, values=values)

    def _places(self) -> Iterator[str]:
        for key in _PLACES:
            yield from self.values.get(key, "").split()


def _directory(place: str) -> str:
    """Return the local directory behind a path or file: URL, or an empty text."""
    parts = urlsplit(place)
    path = Path(unquote(parts.path))
    if parts.scheme not in ("", "file") or not path.is_absolute():
        return ""
    # The pages of an index link to files beside it.
    return str(path.parent if path.name == "simple" else path)


def _moved(place: str, volumes: Mapping[str, str]) -> str:
    """Return a place as the build sees it."""
    directory = _directory(place)
    if not directory:
        return place
    below = Path(unquote(urlsplit(place).path)).relative_to(directory)
    prefix = "file://" if urlsplit(place).scheme else ""
    return prefix + str(Path(volumes[directory]) / below)


def parse_pip_listing(listing: str) -> PipSettings:
    """Parse what ``pip config list`` prints; variables win over files, as in pip."""
    values: dict[str, str] = {}
    ranks: dict[str, int] = {}
    for line in listing.splitlines():
        name, _, text = line.partition("=")
        section, _, key = name.rpartition(".")
        key = _SYNONYMS.get(key, key)
        rank = {"global": 0, "install": 1, ":env:": 2}.get(section, -1)
        if key in _KEYS and rank >= ranks.get(key, 0):
            values[key], ranks[key] = _unquoted(text), rank
    return PipSettings(values)


def format_pip_conf(settings: PipSettings) -> str:
    """Format settings as a pip.conf."""
    lines = ["[global]"]
    for key, value in settings.values.items():
        # Values of several words stand on lines of their own.
        words = value.split()
        lines.append(f"{key} = {words[0]}" if len(words) == 1 else f"{key} =")
        lines += [f"    {word}" for word in words] if len(words) > 1 else []
    return "\n".join(lines) + "\n"


def read_pip_listing(environ: Mapping[str, str]) -> str:
    """Ask pip for its settings; a Python without pip has none but its variables."""
    done = subprocess.run(
        (sys.executable, "-m", "pip", "config", "list"),
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return done.stdout
    names = {f"PIP_{key.upper().replace('-', '_')}": key for key in (*_KEYS, *_SYNONYMS)}
    return "".join(
        f":env:.{key}={environ[name]!r}\n" for name, key in names.items() if environ.get(name)
    )


def _unquoted(text: str) -> str:
    try:
        return str(ast.literal_eval(text))
    except (SyntaxError, ValueError):
        return text
