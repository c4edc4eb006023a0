"""Build the repository's images with podman."""

import os
import re
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mpijob_local.base_image import default_base, find_base
from mpijob_local.images import OWN_REPOSITORY
from mpijob_local.machine import MachineFacts
from mpijob_local.output import Reporter
from mpijob_local.pipconf import (
    PipSettings,
    format_pip_conf,
    parse_pip_listing,
    read_pip_listing,
)
from mpijob_local.podman import Podman
from mpijob_runtime.errors import ConfigurationError, UsageError

CONTAINERFILE = "Containerfile"
_SHOWN_LINES = 30
_STEP = re.compile(r"(?:\[\d+/\d+\] )?STEP (?P<step>\d+/\d+): (?P<what>.*)")
_STAGE = re.compile(r"FROM \S+ AS (?P<name>\S+)")
_STEP_CHARACTERS = 90


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What the command line says about a build.

    Attributes:
        context: directory of the Containerfile.
        open_mpi: ``4.1`` or ``5.0``.
        base_image: build from this; empty means the Containerfile's own, or its substitute.
        arguments: further build arguments as ``NAME=VALUE``.
    """

    context: Path
    open_mpi: str = "4.1"
    base_image: str = ""
    no_cache: bool = False
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image that was built."""

    image: str
    size_bytes: int
    build_seconds: float


@dataclass(frozen=True, slots=True)
class Builder:
    """Builds images on this machine.

    Attributes:
        podman: the engine.
        facts: decides the flags that a build needs here.
        environ: the environment for pip, apt and mmdebstrap.
        logs: directory for the full logs.
        reporter: is told each step.
    """

    podman: Podman
    facts: MachineFacts
    environ: Mapping[str, str]
    logs: Path
    reporter: Reporter

    def build(self, targets: Iterable[str], options: BuildOptions) -> Iterator[BuiltImage]:
        """Build targets one after the other and yield each image.

        Raises:
            UsageError: no Containerfile.
            ConfigurationError: no base image, or a step failed; with the end of its log.
        """
        containerfile = _containerfile(options.context)
        base = options.base_image or find_base(
            default_base(containerfile.read_text(encoding="utf-8")),
            self.podman,
            reporter=self.reporter,
            environ=self.environ,
            fresh=options.no_cache,
        )
        for target in targets:
            tag = f"{OWN_REPOSITORY}:{target}-ompi{options.open_mpi}"
            more = (f"--target={target}", f"--build-arg=BASE_IMAGE={base}")
            yield self._build(tag, options, *more)

    def build_upon(self, tag: str, options: BuildOptions) -> BuiltImage:
        """Build somebody's own Containerfile upon our images, and return its image.

        Raises:
            UsageError: no Containerfile.
            ConfigurationError: a step failed; with the end of its log.
        """
        _containerfile(options.context)
        return self._build(tag, options)

    def _build(self, tag: str, options: BuildOptions, *more: str) -> BuiltImage:
        started = time.monotonic()
        pip = parse_pip_listing(read_pip_listing(self.environ))
        with _pip_arguments(pip) as secrets:
            arguments = (*self._arguments(tag, options), *more, *secrets)
            self._run(tag, (*arguments, str(options.context)))
        size = self.podman.run("image", "inspect", "--format={{.Size}}", tag).stdout
        built = BuiltImage(tag, int(size), round(time.monotonic() - started, 1))
        self.reporter.step(f"{tag}: {built.size_bytes / 1e6:.0f} MB, {built.build_seconds} s")
        return built

    def _arguments(self, tag: str, options: BuildOptions) -> tuple[str, ...]:
        """Return the arguments of ``podman build`` except those about pip."""
        # Root without all of root's rights cannot set up the containers of a build.
        confined = not self.facts.rootless and not self.facts.raises_limits
        return (
            *("build", "--pull=never", "--layers", f"--tag={tag}"),
            f"--file={options.context / CONTAINERFILE}",
            *(("--network=host", "--isolation=chroot") if confined else ()),
            *(("--no-cache",) if options.no_cache else ()),
            f"--build-arg=OPEN_MPI={options.open_mpi}",
            *(f"--build-arg={argument}" for argument in options.arguments),
        )

    def _run(self, tag: str, arguments: tuple[str, ...]) -> None:
        """Run a build; its steps are told, all of it goes to a log."""
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"build-{re.sub(r'[^A-Za-z0-9.-]', '-', tag)}.log"
        tail: deque[str] = deque(maxlen=_SHOWN_LINES)
        self.reporter.step(f"building {tag}")
        with log.open("w", encoding="utf-8") as file, _ended(self.podman, arguments) as process:
            for line in process.stdout or ():
                file.write(line)
                tail.append(line.rstrip())
                if step := _STEP.match(line):
                    self.reporter.step(_step_text(step["step"], step["what"]))
        if process.returncode:
            end = "\n  ".join(tail)
            message = f"building {tag} failed; the end of {log}:\n  {end}"
            raise ConfigurationError(message, remedy="the step above names what is missing")


def _containerfile(context: Path) -> Path:
    path = context / CONTAINERFILE
    if not path.is_file():
        message = f"no {CONTAINERFILE} in {context}"
        raise UsageError(message, remedy="give a directory that has one")
    return path


def _step_text(step: str, what: str) -> str:
    """Shorten a step of a build to a line; the first of a stage is the stage's heading."""
    if stage := _STAGE.match(what):
        return f"  stage {stage['name']}"
    return f"    {step:>5} {' '.join(what.split())[:_STEP_CHARACTERS]}"


def find_context(start: Path) -> Path:
    """Return the nearest directory, from here upwards, that has a Containerfile.

    Raises:
        UsageError: there is none.
    """
    for directory in (start, *start.parents):
        if (directory / CONTAINERFILE).is_file():
            return directory
    message = f"no {CONTAINERFILE} in {start} or above"
    raise UsageError(message, remedy="give its directory with --context")


@contextmanager
def _pip_arguments(pip: PipSettings) -> Iterator[tuple[str, ...]]:
    """Lend pip's settings to a build: as secrets and read-only volumes, never in a layer."""
    with tempfile.TemporaryDirectory(prefix="mpijob-pip-") as directory:
        path = Path(directory) / "pip.conf"
        path.write_text(format_pip_conf(pip.inside()), encoding="utf-8")
        arguments = [f"--secret=id=pip.conf,src={path}"]
        if pip.ca_bundle and Path(pip.ca_bundle).is_file():
            arguments.append(f"--secret=id=ca,src={pip.ca_bundle}")
        arguments += [
            f"--volume={source}:{target}:ro"
            for source, target in pip.volumes().items()
            if Path(source).is_dir()
        ]
        yield tuple(arguments)


@contextmanager
def _ended(podman: Podman, arguments: tuple[str, ...]) -> Iterator["subprocess.Popen[str]"]:
    """Start a build and make sure that it has ended when the block has."""
    process = podman.stream(*arguments)
    try:
        yield process
        process.wait()
    except BaseException:
        # podman has a session of its own, and its build containers with it.
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise
