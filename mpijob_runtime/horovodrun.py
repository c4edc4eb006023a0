"""A ``horovodrun …`` line as a launch, read by Horovod's own parser.

Nothing else of Horovod's launcher runs: it checks ssh with settings of its own, passes every
variable on, and gives Open MPI 5 flags that are taken for the program.

Layer: effects (Horovod's parser prints and exits for ``--help`` and wrong flags); imports errors
and settings.
"""

import contextlib
import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mpijob_runtime.errors import UsageError
from mpijob_runtime.settings import Flags

_BINDING = ("--binding-args", "--bind-to none --map-by slot")

_REFUSED: Mapping[str, str] = {
    "use_gloo": "--gloo",
    "use_jsrun": "--jsrun",
    "host_discovery_script": "--host-discovery-script",
    "min_num_proc": "--min-num-proc",
    "max_num_proc": "--max-num-proc",
    "slots": "--slots-per-host",
    "mpi_args": "--mpi-args",
    "binding_args": "--binding-args",
    "nics": "--network-interfaces",
    "ssh_port": "--ssh-port",
    "ssh_identity_file": "--ssh-identity-file",
    "output_filename": "--output-filename",
    "prefix_output_with_timestamp": "--prefix-output-with-timestamp",
}
"""What changes how ranks are started, as Horovod's parser names it, and the flag."""


@dataclass(frozen=True, slots=True)
class HorovodLine:
    """What a ``horovodrun`` line asks for.

    Attributes:
        flags: the same as flags of ``launch``.
        program: the program with its arguments.
        verbose: ``--verbose``.
    """

    flags: Flags
    program: tuple[str, ...]
    verbose: bool


def plain_argv(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the command of Horovod's own launcher, with binding flags for either Open MPI."""
    return (sys.executable, "-m", "horovod.runner.launch", *_BINDING, *arguments)


def parse_horovodrun(arguments: Sequence[str]) -> HorovodLine:
    """Translate the arguments of ``horovodrun``.

    Raises:
        UsageError: for a flag that a launch has no equal for, a value that Horovod refuses, or no
            program.
    """
    from horovod.runner import launch
    from horovod.runner.common.util import config_parser

    sys.argv = ["horovodrun", *arguments]  # where Horovod's parser looks
    tuned: dict[str, str] = {}
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            line = launch.parse_args()
        sys.stderr.write(said.getvalue())
        config_parser.set_env_from_args(tuned, line)
    except SystemExit as end:  # argparse's way to refuse, and to end after --help
        if not end.code:
            raise
        words = said.getvalue().strip().splitlines() or ["wrong arguments"]
        raise UsageError(words[-1], remedy="horovodrun --help") from end
    except Exception as error:  # a value or the configuration file, whatever YAML says
        raise UsageError(f"horovodrun: {error}") from error
    _refuse(line)
    if not line.command:
        raise UsageError("horovodrun: no program", remedy="horovodrun -np 8 python train.py")
    flags = Flags(
        ranks=line.num_proc,
        hostfile=line.hostfile,
        host=line.hosts,
        timeout_seconds=line.start_timeout,
        env=tuple(f"{name}={value}" for name, value in tuned.items()),
    )
    return HorovodLine(flags, tuple(line.command), bool(line.verbose))


def _refuse(line: Any) -> None:  # noqa: ANN401 - argparse's namespace
    found = [flag for name, flag in _REFUSED.items() if getattr(line, name)]
    if found:
        message = f"horovodrun {', '.join(found)}: not supported under mpijob-runtime"
        remedy = (
            "leave it out: hosts, ssh, interfaces, binding and output are decided here "
            "(mpijob-runtime launch --help); MPIJOB_SHIM=off runs Horovod's own launcher"
        )
        raise UsageError(message, remedy=remedy)
