"""What a user asks mpirun to do with the ranks' output, and who does it.

Ranks' output goes through our agents, not through Open MPI, so what is asked of Open MPI would be
dropped in silence. Tags and times before each line are ours to write, in each generation's own
form: Open MPI 4.1 loses short lines as it tags them, 5.0 the end of much output (measured). For
everything else (files, XML, …) the output is left to mpirun.

Layer: pure; imports errors, mpirun_line, settings.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mpijob_runtime.errors import UsageError
from mpijob_runtime.mpirun_line import read_options
from mpijob_runtime.settings import Form, Settings

_STREAMS = {1: "stdout", 2: "stderr"}

_TAG, _TIME, _OTHER = "tag", "timestamp", "other"
_OPTIONS = {
    "tag-output": _TAG,
    "timestamp-output": _TIME,
    "output-filename": _OTHER,
    "output-directory": _OTHER,
    "merge-stderr-to-stdout": _OTHER,
    "xml": _OTHER,
    "xml-file": _OTHER,
    "xterm": _OTHER,
}
_VARIABLES = {
    "orte_tag_output": _TAG,
    "orte_timestamp_output": _TIME,
    "orte_output_filename": _OTHER,
    "orte_xml_output": _OTHER,
    "orte_xml_file": _OTHER,
}
"""Open MPI 4.1's parameters; 5.0 has none of these (prte_info)."""

_NO = frozenset({"", "0", "false", "f", "no", "n", "disabled"})
"""How a boolean MCA parameter says no."""


@dataclass(frozen=True, slots=True)
class Tags:
    """What stands before each line of a rank, as Open MPI itself would write it.

    Attributes:
        major: the generation of Open MPI.
        rank: whether ``[1,3]`` does: the job's and the rank's number.
        time: whether the time does.
    """

    major: int
    rank: bool = False
    time: bool = False

    def before(self, rank: int, stream: int, now: str) -> bytes:
        """Return the tag of a line that a rank wrote to stdout (1) or stderr (2)."""
        who = f"[1,{rank}]" if self.rank else ""
        when = now if self.time else ""
        if self.major == 4:  # noqa: PLR2004 - the generation
            return f"{when}{who}<{_STREAMS[stream]}>:".encode()
        return f"{when and f'[{when}]'}{who}<{_STREAMS[stream]}>: ".encode()


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """What becomes of the ranks' output.

    Attributes:
        form: how a line looks.
        tags: what stands before each line of the form ``plain``, or None.
        why: on whose word it is left to mpirun or tagged; empty for the settings' own.
        unheeded: what was asked of mpirun and is not done, because of what was asked of us.
    """

    form: Form
    tags: Tags | None = None
    why: str = ""
    unheeded: str = ""


def plan_output(settings: Settings, arguments: Sequence[str] | None, *, major: int) -> OutputPlan:
    """Decide who writes the ranks' output, and how.

    Args:
        settings: what was asked of us.
        arguments: a user's whole mpirun line, or None where ``launch`` writes it.
        major: the generation of Open MPI.

    Raises:
        UsageError: if mpirun is asked for what it can only do with the output that we are asked
            to write.
    """
    if settings.output == "mpirun" and settings.log_dir is not None:
        raise _conflict("--output mpirun (MPIJOB_OUTPUT)", _asked_of_us(settings))
    asked = list(_asked(settings.environ, arguments or (), major=major))
    tags = Tags(
        major,
        rank=any(kind == _TAG for kind, _ in asked),
        time=any(kind == _TIME for kind, _ in asked),
    )
    others = [words for kind, words in asked if kind == _OTHER]
    if not asked or settings.output == "mpirun":
        return OutputPlan(settings.output)
    ours = _asked_of_us(settings)
    if others:
        if ours:
            raise _conflict(others[0], ours)
        return OutputPlan("mpirun", why=others[0])
    words = ", ".join(words for _, words in asked)
    if settings.output_asked:
        return OutputPlan(settings.output, unheeded=words)
    return OutputPlan("plain", tags, why=words)


def _asked_of_us(settings: Settings) -> str:
    if settings.log_dir is not None:
        return f"--log-dir {settings.log_dir} (MPIJOB_LOG_DIR)"
    return f"--output {settings.output} (MPIJOB_OUTPUT)" if settings.output_asked else ""


def _conflict(asked: str, ours: str) -> UsageError:
    return UsageError(
        f"found both {asked} and {ours}, wanted one of them: either mpirun or mpijob-runtime"
        " writes the ranks' output",
        remedy="leave one of the two out; --log-dir DIR (MPIJOB_LOG_DIR) writes a file for each"
        " rank on the launcher",
    )


def _asked(
    environ: Mapping[str, str], arguments: Sequence[str], *, major: int
) -> Iterator[tuple[str, str]]:
    """Yield each thing that is asked of mpirun's output, and the words that ask for it."""
    for name, kind in _VARIABLES.items():
        value = environ.get(f"OMPI_MCA_{name}", "")
        if major == 4 and _is_on(kind, value):  # noqa: PLR2004 - the generation
            yield kind, f"OMPI_MCA_{name}={value}"
    for option in read_options(arguments, major=major):
        if option.name in _OPTIONS:
            yield _OPTIONS[option.name], str(option)
        elif option.name == "output":
            for directive in ",".join(option.values).split(","):
                kind = {"tag": _TAG, "timestamp": _TIME}.get(directive.lower(), _OTHER)
                yield kind, f"--output {directive}"
        elif major == 4:  # noqa: PLR2004 - 5.0 has none of these parameters
            name, value = option.parameter
            kind = _VARIABLES.get(name, "")
            if kind and _is_on(kind, value):
                yield kind, str(option)


def _is_on(kind: str, value: str) -> bool:
    return bool(value) if kind == _OTHER else value.lower() not in _NO
