"""The image that builds start from: the Containerfile's, or an equivalent made here.

Where no registry can be reached, mmdebstrap makes the same thing from Debian's own packages:
a minimal bookworm with ca-certificates.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mpijob_local.output import Reporter
from mpijob_local.podman import Engine
from mpijob_runtime.errors import ConfigurationError

LOCAL_BASE = "localhost/mpijob-base:bookworm"
_SUITE = "bookworm"
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# As Debian's slim images do; licences stay.
_LEFT_OUT = (
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
)
# Any constant will do: two bases from the same packages are then the same bytes.
_EPOCH = "1735689600"
_PULL_SECONDS = 300.0


def default_base(containerfile: str) -> str:
    """Return the default of ``ARG BASE_IMAGE`` in the text of a Containerfile, or empty."""
    match = re.search(r"^ARG\s+BASE_IMAGE=(\S+)", containerfile, re.MULTILINE)
    return match[1] if match else ""


def find_base(
    wanted: str,
    engine: Engine,
    *,
    reporter: Reporter,
    environ: Mapping[str, str],
    fresh: bool = False,
) -> str:
    """Return an image to build from: the wanted one, or one made here.

    Args:
        wanted: the Containerfile's default.
        engine: podman.
        reporter: is told what is taken instead, and why.
        environ: for the programs that make a base.
        fresh: do not take one made here before.

    Raises:
        ConfigurationError: none can be had; with what to install.
    """
    if _exists(engine, wanted):
        return wanted
    if not fresh and _exists(engine, LOCAL_BASE):
        reporter.step(f"base image {LOCAL_BASE}, made here before from Debian's packages")
        return LOCAL_BASE
    refusal = _pull(engine, wanted)
    if not refusal:
        return wanted
    reporter.warn(f"cannot pull {wanted}: {refusal}")
    reporter.step(f"making {LOCAL_BASE} from Debian's packages with mmdebstrap instead")
    make_base(engine, environ=environ)
    return LOCAL_BASE


def make_base(engine: Engine, *, environ: Mapping[str, str], tag: str = LOCAL_BASE) -> None:
    """Make a minimal Debian from packages and import it.

    Raises:
        ConfigurationError: mmdebstrap is missing or failed.
    """
    with tempfile.TemporaryDirectory(prefix="mpijob-base-") as directory:
        archive = Path(directory) / "base.tar"
        _debootstrap(archive, environ)
        engine.run("import", '--change=CMD=["bash"]', str(archive), tag)


def _exists(engine: Engine, image: str) -> bool:
    return bool(image) and engine.run("image", "exists", image, accept=()).exit_code == 0


def _pull(engine: Engine, image: str) -> str:
    """Try to pull and return podman's complaint, or an empty text."""
    if not image:
        return "the Containerfile names none"
    done = engine.run("pull", "--quiet", image, accept=(), timeout_seconds=_PULL_SECONDS)
    return done.complaint if done.exit_code else ""


def _debootstrap(archive: Path, environ: Mapping[str, str]) -> None:
    if shutil.which("mmdebstrap", path=environ.get("PATH")) is None:
        message = "no base image: the registry cannot be reached and mmdebstrap is not installed"
        remedy = "apt-get install mmdebstrap, or give an image with --base-image"
        raise ConfigurationError(message, remedy=remedy)
    sources = apt_sources(_index_targets(environ))
    options = [f"--dpkgopt={option}" for option in _LEFT_OUT]
    if _KEYRING.exists():
        options.append(f"--keyring={_KEYRING}")
    done = subprocess.run(  # noqa: S603 a constant command and our own paths
        (  # noqa: S607 wherever PATH has it
            "mmdebstrap",
            "--variant=minbase",
            "--include=ca-certificates",
            *options,
            _SUITE,
            str(archive),
            *(("-",) if sources else ()),
        ),
        env={**environ, "SOURCE_DATE_EPOCH": _EPOCH},
        input="".join(f"{line}\n" for line in sources),
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    if done.returncode:
        last = "\n  ".join(done.stderr.splitlines()[-5:])
        message = f"mmdebstrap failed with exit code {done.returncode}:\n  {last}"
        raise ConfigurationError(message, remedy="check that apt-get update works")


def _index_targets(environ: Mapping[str, str]) -> str:
    """Return this machine's package sources as apt sees them; empty without apt."""
    form = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    command = (
        "apt-get",
        "indextargets",
        "--no-release-info",
        "--format",
        form,
        "Created-By: Packages",
    )
    if shutil.which("apt-get", path=environ.get("PATH")) is None:
        return ""
    done = subprocess.run(  # noqa: S603 a constant command
        command, env=dict(environ), capture_output=True, text=True, check=False
    )
    return done.stdout


def apt_sources(targets: str) -> tuple[str, ...]:
    """Return the sources.list of a base: this machine's mirrors of bookworm, if it has any.

    mmdebstrap takes Debian's public mirrors where none is given.

    Args:
        targets: lines of ``URI SUITE COMPONENT``.
    """
    wanted = re.compile(rf"{_SUITE}(-updates|-security)?")
    fields = (line.split() for line in targets.splitlines())
    mirrors = (
        f"deb {found[0]} {found[1]} main"
        for found in fields
        if len(found) == 3 and wanted.fullmatch(found[1]) and found[2] == "main"  # noqa: PLR2004
    )
    found = tuple(dict.fromkeys(mirrors))
    has_main = any(f" {_SUITE} " in line for line in found)
    return found if has_main else ()
