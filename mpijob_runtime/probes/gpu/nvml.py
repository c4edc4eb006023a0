"""A conversation with NVML: what raises becomes None, the fault of a GPU, or a sentence.

An old driver lacks functions, an old binding too; GPUs fall off the bus between two questions; a
container may not ask all; texts are bytes in nvidia-ml-py before 11.515.

Layer: probe; imports nothing of ours.
"""

from contextlib import suppress
from types import ModuleType
from typing import Any

_NO_DRIVER = ("LibraryNotFound", "DriverNotLoaded")
_ABSENT = ("NotSupported", "NotFound", "NoData")
_FAULTS = {
    "GpuIsLost": "fell off the bus",
    "ResetRequired": "needs a reset",
    "IrqIssue": "its interrupts do not arrive",
}
_STARTS = {
    "LibRmVersionMismatch": "the driver was replaced while this node ran: its library and its"
    " kernel module differ; restart the pod, else the node",
    "FunctionNotFound": "the driver is too old",
    "NoPermission": "this container may not use /dev/nvidiactl",
}
_LONGEST_TEXT = 200


class Handle:
    """A GPU, or a part of one.

    Args:
        label: what to call it in sentences.
        raw: what NVML gave, or None if it gave nothing.
        fault: why it cannot be used, or None.
    """

    def __init__(self, label: str, raw: object, fault: str | None = None) -> None:
        self.label = label
        self.raw = raw
        self.fault = fault


class Nvml:
    """Asks, and remembers what could not be answered.

    Args:
        module: pynvml, or a fake.
    """

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._missing: list[str] = []
        self._refused: dict[str, str] = {}

    @property
    def errors(self) -> tuple[str, ...]:
        """What could not be read and why; the same of several GPUs is said once."""
        missing = (f"this driver does not know {', '.join(self._missing)}",)
        return (*self._refused.values(), *(missing if self._missing else ()))

    def start(self) -> bool:
        """Load the library and ask the driver; return whether it answers."""
        try:
            self._module.nvmlInit()
        except self._module.NVMLError as error:
            kind = _kind(error)
            if kind not in _NO_DRIVER:
                why = f": {_STARTS[kind]}" if kind in _STARTS else ""
                self._refused["nvmlInit"] = f"nvmlInit: {error}{why}"
            return False
        return True

    def stop(self) -> None:
        """End the conversation; a driver that refuses even that changes nothing any more."""
        with suppress(self._module.NVMLError):
            self._module.nvmlShutdown()

    def open(self, index: int) -> Handle:
        """Return a GPU; one that cannot be had has a fault and answers nothing."""
        label = f"GPU {index}"
        try:
            return Handle(label, self._module.nvmlDeviceGetHandleByIndex(index))
        except self._module.NVMLError as error:
            fault = _FAULTS.get(_kind(error), "cannot be opened")
            return Handle(label, None, f"{fault} ({error})")

    def constant(self, name: str) -> int | None:
        """Return a number of the binding, or None if it is too old to have it."""
        found = getattr(self._module, name, None)
        return found if isinstance(found, int) else None

    def ask(self, name: str, *arguments: object, absent: tuple[str, ...] = ()) -> Any:  # noqa: ANN401
        """Return a function's answer, or None.

        Args:
            name: the function.
            arguments: what it takes, handles among them.
            absent: kinds of errors that here mean that there is no such thing.
        """
        handles = [argument for argument in arguments if isinstance(argument, Handle)]
        if name in self._missing or any(handle.fault for handle in handles):
            return None
        raw = [a.raw if isinstance(a, Handle) else a for a in arguments]
        try:
            return getattr(self._module, name)(*raw)
        except AttributeError:  # the binding is older than this function
            self._missing.append(name)
        except self._module.NVMLError as error:
            self._note(name, handles, error, absent)
        return None

    def number(self, name: str, *arguments: object, absent: tuple[str, ...] = ()) -> int | None:
        """Return a number, or None."""
        found = self.ask(name, *arguments, absent=absent)
        return None if found is None else int(found)

    def text(self, name: str, *arguments: object) -> str | None:
        """Return a text that can be printed, or None."""
        found = self.ask(name, *arguments)
        if found is None:
            return None
        text = found.decode(errors="replace") if isinstance(found, bytes) else str(found)
        return "".join(c if c.isprintable() else "?" for c in text[:_LONGEST_TEXT])

    def _note(
        self, name: str, handles: list[Handle], error: Exception, absent: tuple[str, ...]
    ) -> None:
        kind = _kind(error)
        if kind == "FunctionNotFound":
            self._missing.append(name)
        elif kind in _FAULTS and handles:
            handles[0].fault = f"{_FAULTS[kind]} ({error})"
        elif kind not in (*_ABSENT, *absent):
            place = f" of {handles[0].label}" if handles else ""
            self._refused.setdefault(f"{name} {kind}", f"{name}{place}: {error}")


def _kind(error: Exception) -> str:
    return type(error).__name__.removeprefix("NVMLError_")
