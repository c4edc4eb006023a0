"""What a failed rank's last words say about the cause.

Layer: pure; imports nothing of ours.
"""

import re
from dataclasses import dataclass

_EXCEPTION = re.compile(
    r"^(?P<what>[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit|Warning)\b.*)$"
)
_ANY_EXCEPTION = re.compile(r"^(?P<what>[A-Za-z_][\w.]*(?:: .*)?)$")
_FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+)(?:, in (?P<function>.+))?$')
_NCCL = re.compile(r"\bNCCL (?:WARN|ERROR)\b.*")
_ABORT = re.compile(r"MPI_ABORT was invoked on rank (?P<rank>\d+)")
_ABORT_CODE = re.compile(r"with errorcode (?P<code>-?\d+)")
# Gloo and Open MPI's TCP in the words of the kernel: what a rank says whose peer has gone
_LOST_PEER = re.compile(r"[Cc]onnection (?:closed|reset) by peer|[Cc]onnection was closed by peer")
_TRACEBACK = "Traceback (most recent call last):"
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class LastWords:
    """What was found.

    Attributes:
        cause: a clause to add to the cause, or empty.
        evidence: lines that support it.
    """

    cause: str = ""
    evidence: tuple[str, ...] = ()


def explain_last_words(text: str, mpirun_said: str, rank: int) -> LastWords:
    """Return what a rank's last output, and mpirun's, say about its failure.

    Args:
        text: the last that the rank wrote.
        mpirun_said: the last that mpirun itself wrote on stderr.
        rank: the rank's number.
    """
    causes, evidence = [], []
    aborted = _ABORT.search(mpirun_said)
    if aborted and int(aborted["rank"]) == rank:
        code = _ABORT_CODE.search(mpirun_said)
        causes.append(f"MPI_Abort{f' with code {code[1]}' if code else ''}")
    raised = _python_exception(text)
    if raised is not None:
        causes.append(raised[0])
        evidence.append(raised[1])
    nccl = _NCCL.findall(text)
    if nccl:
        causes.append(_cut(nccl[-1]))
    return LastWords("; ".join(causes), tuple(evidence))


def lost_a_peer(text: str) -> bool:
    """Tell whether a rank's last words say that another one had gone before it.

    Args:
        text: the last that the rank wrote.
    """
    return _LOST_PEER.search(text) is not None


def _python_exception(text: str) -> tuple[str, str] | None:
    """Return the exception and the place of the last traceback in a text."""
    at = text.rfind(_TRACEBACK)
    if at < 0:
        return None
    frame, lines = None, text[at:].splitlines()[1:]
    for line in lines:
        found = _FRAME.match(line)
        if found is not None:
            frame = found
        elif frame is not None and (what := _EXCEPTION.match(line) or _bare(line)):
            where = f"{frame['file']}, line {frame['line']}"
            function = f", in {frame['function']}" if frame["function"] else ""
            return _cut(what["what"]), f"raised at {where}{function}"
    return None


def _bare(line: str) -> "re.Match[str] | None":
    """Match an exception of any other name: the first line that is not indented."""
    return None if line.startswith(" ") else _ANY_EXCEPTION.match(line)


def _cut(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
