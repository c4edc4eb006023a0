import ctypes
import json

import pynvml
import pytest
from nvml import hand_made
from nvml.fake_nvml import FakeNvml, decode
from nvml.record import encode, record

from mpijob_runtime.fact_json import facts_to_json
from mpijob_runtime.probes.gpu import probe_gpus


@pytest.mark.parametrize(
    "make", [hand_made.with_mig, hand_made.with_lost_gpus, hand_made.with_old_driver]
)
def test_a_recording_that_is_played_gives_the_same_facts(make):
    """The recorder can be trusted before the day on which a GPU is there."""
    recorded = json.loads(json.dumps(record(FakeNvml(make()))))
    assert recorded["facts"]["gpus"]
    assert facts_to_json(probe_gpus(FakeNvml(recorded["answers"]))) == facts_to_json(
        probe_gpus(FakeNvml(make()))
    )


def test_what_the_real_binding_gives_can_be_recorded():
    """Structures, unions, arrays and bytes of ctypes."""
    place = pynvml.nvmlPciInfo_t(domain=1, bus=0x1B, busId=b"00000001:1B:00.0")
    played = decode(json.loads(json.dumps(encode(place))))
    assert (played.domain, played.bus, played.busId) == (1, 0x1B, "00000001:1B:00.0")
    values = (pynvml.c_nvmlFieldValue_t * 1)()
    values[0].value.uiVal = 3
    assert decode(json.loads(json.dumps(encode(values))))[0].value.uiVal == 3
    assert encode((ctypes.c_ulonglong * 2)(1, 2)) == [1, 2]
