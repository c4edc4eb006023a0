"""What mpirun calls in place of ssh: asks the launcher, which holds a connection to each host.

The login of every host is done once, when readiness is proved. A host that the launcher does not
know is reached by ssh itself, with the same settings.

Layer: effects (sockets, exec); imports carried, run_dir; quick to import, because
mpirun starts one for each host.
"""

from __future__ import annotations

import _socket
import os
import sys

from mpijob_runtime import carried
from mpijob_runtime.run_dir import at_socket, choose_run_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

WITH_VALUE = "BbcDEeFIiJLlmOoPpQRSWw"
"""ssh's switches that take a value."""

_FAILED = 255


def split_arguments(arguments: Sequence[str]) -> tuple[str, str]:
    """Return host and command of an ssh command line; its switches are for ssh alone.

    Raises:
        ValueError: if there is no host or no command.
    """
    words = list(arguments)
    while words and words[0].startswith("-") and words[0] != "--":
        switch = words.pop(0)
        if switch[-1] in WITH_VALUE and all(letter not in WITH_VALUE for letter in switch[1:-1]):
            words[:1] = []
    if words[:1] == ["--"]:
        words.pop(0)
    if len(words) < 2:  # noqa: PLR2004 - a host and a command
        raise ValueError("wanted a host and a command")
    return words[0].rpartition("@")[2], " ".join(words[1:])


def main() -> NoReturn:
    """Run a command on a host, as ssh does, and end with its exit code."""
    attempt = os.environ.get(carried.ATTEMPT, "")
    run_dir = choose_run_dir(os.environ.get(carried.RUN_DIR))
    try:
        host, command = split_arguments(sys.argv[1:])
        connection = _connect(run_dir, attempt)
        connection.sendall(f"{host}\0{command}".encode())
        connection.shutdown(_socket.SHUT_WR)
        answer = _pass_on(connection)
        code = 0 if answer == carried.BY_SSH else int(answer)
    except (OSError, ValueError) as error:
        _end(f"no answer of the launcher: {error}")
    if answer == carried.BY_SSH:
        config = f"{run_dir}/ssh_config"
        os.execvp("ssh", ("ssh", "-F", config, *sys.argv[1:]))  # noqa: S606, S607 - as asked
    os._exit(code)


def _connect(run_dir: str, attempt: str) -> _socket.socket:
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    at_socket(run_dir, carried.rsh_socket(attempt), connection.connect)
    return connection


def _pass_on(connection: _socket.socket) -> bytes:
    """Copy what the command says to stderr and return the launcher's last word.

    The word is the line after the last NUL: an exit code, or that ssh is to be used.
    """
    rest = b""
    while data := connection.recv(65536):
        rest += data
        said, end, word = rest.rpartition(b"\0")
        if end and word.endswith(b"\n"):
            os.write(2, said)
            return word.strip()
        if not end:
            os.write(2, rest)
            rest = b""
    raise OSError("it is gone")


def _end(message: str) -> NoReturn:
    try:
        os.write(2, f"mpijob: {' '.join(sys.argv[1:2])}: {message}\n".encode())
    finally:
        os._exit(_FAILED)
