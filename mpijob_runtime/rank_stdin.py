"""The launcher's stdin on its way to the ranks, with an end that they see.

Open MPI 5.0 passes on what comes, but not that it has ended (openpmix/openpmix#4024): a program
that reads to the end waits for ever. So mpirun gets a pipe of ours, and at the end a mark that the
wrapper around the rank knows. A launcher without stdin, as in any pod, tells its ranks so.

Layer: effects (descriptors, threads); imports carried.
"""

import os
import secrets
import signal
import threading

from mpijob_runtime import carried

_WITH_AN_END = 4
"""The generation of Open MPI that tells ranks of the end by itself."""


_PACKET_BYTES = 2048
"""5.0.11 loses what it reads in pieces of 4 KiB on the way to another host (measured); a pipe in
packet mode gives it each piece by itself."""


class RankStdin:
    """What mpirun gets as its stdin, and what ranks are told of it.

    Args:
        major: the generation of Open MPI.
        wrapped: whether ranks have a wrapper, which knows the mark.
        source: the launcher's stdin.

    Attributes:
        descriptor: mpirun's stdin, closed here once it has it; None for the launcher's own.
        told: what ranks are told, or None.
    """

    def __init__(self, *, major: int, wrapped: bool, source: int = 0) -> None:
        self.descriptor: int | None = None
        self.told: str | None = None
        self._source = source
        self._target: int | None = None
        if not wrapped:
            return
        if has_none(source):
            self.told = carried.NO_STDIN
        elif major > _WITH_AN_END:
            self.told = f"end-of-stdin-{secrets.token_hex(16)}"
            self.descriptor, self._target = os.pipe2(os.O_DIRECT | os.O_CLOEXEC)

    def forgo_end(self) -> None:
        """Send no mark: a rank without our wrapper would take it for its input."""
        if self.descriptor is not None:
            self.told = ""

    def start(self) -> None:
        """Pass stdin on, once all ranks are there: 5.0 drops what comes before (measured)."""
        if self._target is not None and self.told is not None:
            arguments = (self._source, self._target, self.told.encode())
            self._target = None
            threading.Thread(target=_copy, args=arguments, daemon=True, name="stdin").start()


def has_none(descriptor: int) -> bool:
    """Tell whether a stdin is closed or the null device."""
    try:
        return os.fstat(descriptor).st_rdev == os.stat(os.devnull).st_rdev
    except OSError:
        return True


def _copy(source: int, target: int, mark: bytes) -> None:
    # a job in the background of a terminal reads nothing from it, and goes on
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTIN})
    try:
        while data := os.read(source, _PACKET_BYTES):
            os.write(target, data)
    except OSError:
        pass  # a broken source has ended, too; a broken target takes nothing more
    try:
        os.write(target, mark)
        os.close(target)
    except OSError:
        return  # mpirun has ended
