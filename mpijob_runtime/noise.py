"""Lines of other programs that tell nobody anything, to the letter.

Whoever reads a job's log takes "Permission denied" and "reset by peer" for its trouble.

Layer: pure; imports nothing of ours.
"""

import re

_OF_MPIRUN = re.compile(
    # parent and child both call setpgid; the parent's comes too late once ssh or ours runs
    rb"\[[^\]\s]+:\d+\] plm:(?:rsh|ssh): Warning: setpgid\(\d+,\d+\) failed in parent"
    rb" with errno=Permission denied\(13\)"
)
_PEER = rb"(?:[0-9a-fA-F.:]+(?:%[\w.-]+)?|UNKNOWN) port \d+"
_GONE = rb"(?:Connection reset by peer|Broken pipe)"
_OF_SSHD = re.compile(
    # who connects and leaves before a word is a kubelet's tcpSocket probe, or a launcher's
    rb"kex_exchange_identification: (?:Connection closed by remote host|(?:read|write): "
    + _GONE
    + rb")|banner exchange: Connection from "
    + _PEER
    + rb": (?:Connection closed by remote host|"
    + _GONE
    + rb")|Connection (?:closed|reset) by "
    + _PEER
    + rb"(?: \[preauth\])?"
)


def is_noise_of_mpirun(line: bytes) -> bool:
    """Tell whether a line of mpirun's, without its end, is to be left out."""
    return _OF_MPIRUN.fullmatch(line) is not None


def is_noise_of_sshd(line: bytes) -> bool:
    """Tell whether a line of a worker's sshd, without its end, is to be left out.

    A login that fails, and a client that speaks another protocol, are no noise.
    """
    return _OF_SSHD.fullmatch(line) is not None
