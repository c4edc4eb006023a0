"""An NVML that answers from a table, recorded or hand-made, with pynvml's own errors.

A table has an entry for each call, ``nvmlDeviceGetName gpu0``: a plain value, a list, ``{"bytes":
text}``, ``{"struct": {field: value}}``, ``{"handle": label}`` or ``{"error": number}``. What is not
in it raises NotSupported, as NVML does for what a GPU has not.
"""

import types

import pynvml


class FakeNvml:
    """Answers calls; counts that each nvmlInit has its nvmlShutdown.

    Args:
        answers: the table.
    """

    def __init__(self, answers):
        self._answers = answers
        self.open = 0

    def __getattr__(self, name):
        found = getattr(pynvml, name)  # AttributeError for what no binding has
        if not name.startswith("nvml") or not isinstance(found, types.FunctionType):
            return found
        return lambda *arguments: self._call(name, arguments)

    def _call(self, name, arguments):
        self.open -= name == "nvmlShutdown"  # even if it raises: it was called
        value = decode(self._answers.get(call_key(name, arguments), {"error": 3}))
        self.open += name == "nvmlInit"
        return value


def call_key(name, arguments):
    """Return a call's place in the table."""
    return " ".join([name, *(str(argument) for argument in arguments)])


def decode(value):
    """Return what a call gives, or raise what it raises."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "error":
        raise pynvml.NVMLError(content)
    if kind == "bytes":
        return content.encode()
    if kind == "handle":
        return content
    return types.SimpleNamespace(**{name: decode(item) for name, item in content.items()})
