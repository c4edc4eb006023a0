"""Record what the NVML of this machine answers: ``PYTHONPATH=tests python -m nvml.record h100-x1``.

Writes tests/nvml/recorded/NAME.json: the answer to each call that the probe makes, and the facts
that were made of them. test_gpu_probe.py plays all recordings. Serial numbers stay in it.
"""

import argparse
import ctypes
import json
import types
from pathlib import Path

import pynvml
from nvml.fake_nvml import call_key

from mpijob_runtime.fact_json import facts_to_json
from mpijob_runtime.probes.gpu import probe_gpus

FOLDER = Path(__file__).parent / "recorded"


class RecordingNvml:
    """Passes calls on, and keeps what came of them as FakeNvml reads it.

    Args:
        module: pynvml, or what is to be taken for it.
    """

    def __init__(self, module=pynvml):
        self._module = module
        self._labels = {}
        self.answers = {}

    def __getattr__(self, name):
        found = getattr(self._module, name)
        if not name.startswith("nvml") or not callable(found):
            return found
        return lambda *arguments: self._call(name, found, arguments)

    def _call(self, name, function, arguments):
        labels = [self._labels.get(_identity(argument), argument) for argument in arguments]
        key = call_key(name, labels)
        try:
            value = function(*arguments)
        except pynvml.NVMLError as error:
            self.answers[key] = {"error": error.value}
            raise
        if "HandleByIndex" in name:
            label = "-".join(str(part) for part in labels)
            label = label if label.startswith("gpu") else f"gpu{label}"
            self._labels[_identity(value)] = label
            self.answers[key] = {"handle": label}
        else:
            self.answers[key] = encode(value)
        return value


def encode(value):
    """Return what a call gave as FakeNvml reads it."""
    if isinstance(value, bytes):
        return {"bytes": value.decode()}
    if isinstance(value, list | ctypes.Array):
        return [encode(item) for item in value]
    if isinstance(value, ctypes.Structure | ctypes.Union):
        names = [name for name, *_ in value._fields_]
        return {"struct": {name: encode(getattr(value, name)) for name in names}}
    if isinstance(value, types.SimpleNamespace):
        return {"struct": {name: encode(item) for name, item in vars(value).items()}}
    return value


def record(module=pynvml):
    """Return the recording of this machine."""
    recording = RecordingNvml(module)
    facts = facts_to_json(probe_gpus(recording))
    return {"answers": recording.answers, "facts": facts}


def _identity(handle):
    if isinstance(handle, ctypes._Pointer):
        return ctypes.cast(handle, ctypes.c_void_p).value
    return handle if isinstance(handle, str) else None


def main():
    """Write the recording."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="what to call this machine")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    arguments.folder.mkdir(exist_ok=True)
    text = json.dumps(record(), indent=1)
    (arguments.folder / f"{arguments.name}.json").write_text(f"{text}\n")


if __name__ == "__main__":
    main()
