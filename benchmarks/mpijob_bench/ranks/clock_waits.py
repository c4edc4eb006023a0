"""Waits that end at a moment, as work on a device does; the processor is free meanwhile.

clock_nanosleep(2) with TIMER_ABSTIME: what a wait is late does not add up over many of them.
"""

import ctypes
import os
import time

_CLOCK_MONOTONIC = 1
_TIMER_ABSTIME = 1
_PR_SET_TIMERSLACK = 29
_SLACK_NANOSECONDS = 1  # the kernel's default of 50 µs is for processes that save power
_NOT_WORTH_SECONDS = 20e-6


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


_LIBC = ctypes.CDLL(None, use_errno=True)


def be_punctual() -> None:
    """Let this thread's waits end as exactly as the kernel can.

    Raises:
        OSError: the kernel refuses.
    """
    if _LIBC.prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(_SLACK_NANOSECONDS), 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"timer slack: {os.strerror(ctypes.get_errno())}")


def wait_until(moment_seconds: float) -> float:
    """Wait until time.monotonic() is at a moment and return by how much it is past it."""
    late = time.monotonic() - moment_seconds
    if late > -_NOT_WORTH_SECONDS:
        return max(late, 0.0)
    whole, part = divmod(moment_seconds, 1)
    moment = _Timespec(int(whole), int(part * 1e9))
    while _LIBC.clock_nanosleep(_CLOCK_MONOTONIC, _TIMER_ABSTIME, ctypes.byref(moment), None):
        pass  # a signal
    return max(time.monotonic() - moment_seconds, 0.0)
