"""Hosts that nobody has recorded: tables for fake_nvml.py, made by hand after NVML's documents."""

GIB = 1 << 30
LOST, NO_PERMISSION, FUNCTION_NOT_FOUND, INVALID = 15, 4, 13, 2
LIBRARY_NOT_FOUND, MISMATCH, NOT_FOUND, UNKNOWN = 12, 18, 6, 999


def host(count, *, driver="580.95.05", cuda=13000):
    """Return a host with so many plain H100s over PCIe, half of them on each NUMA node."""
    answers = {
        "nvmlInit": None,
        "nvmlShutdown": None,
        "nvmlSystemGetDriverVersion": driver,
        "nvmlSystemGetCudaDriverVersion_v2": cuda,
        "nvmlDeviceGetCount": count,
    }
    for n in range(count):
        answers |= gpu(n, node=2 * n // count)
    for n in range(count):
        for other in range(n + 1, count):
            same = 2 * n // count == 2 * other // count
            key = f"nvmlDeviceGetTopologyCommonAncestor gpu{n} gpu{other}"
            answers[key] = 40 if same else 50
    return answers


def gpu(n, *, node=0):
    """Return what an idle, healthy H100 answers; 32 processors are near it."""
    words = [0] * 128
    words[0] = 0xFFFFFFFF << 32 * node
    answers = {
        f"nvmlDeviceGetHandleByIndex {n}": {"handle": f"gpu{n}"},
        "nvmlDeviceGetName": "NVIDIA H100 80GB HBM3",
        "nvmlDeviceGetUUID": f"GPU-00000000-0000-0000-0000-{n:012}",
        "nvmlDeviceGetPciInfo": address(n),
        "nvmlDeviceGetMemoryInfo": {"struct": {"total": 80 * GIB}},
        "nvmlDeviceGetMigMode": [0, 0],
        "nvmlDeviceGetCpuAffinity 128": words,
        "nvmlDeviceGetTotalEccErrors 1 0": 0,
        "nvmlDeviceGetTotalEccErrors 1 1": 0,
        "nvmlDeviceGetFieldValues [230]": recovery(0),
        "nvmlDeviceGetCurrentClocksEventReasons": 1,
        "nvmlDeviceGetComputeMode": 0,
        "nvmlDeviceGetPersistenceMode": 1,
    }
    return {_of(n, key): value for key, value in answers.items()}


def address(n):
    """Return the place on the PCI bus: 1b, 2b, 3b … as on boards with switches."""
    return {"struct": {"domain": 0, "bus": 0x1B + 16 * n, "device": 0}}


def recovery(action):
    """Return the field's value."""
    return [{"struct": {"nvmlReturn": 0, "value": {"struct": {"uiVal": action}}}}]


def with_nvswitch(count=8, links=18):
    """Return a host of which each GPU has 18 NVLinks of generation 4 to NVSwitches."""
    answers = host(count)
    for n in range(count):
        for link in range(links):
            answers[f"nvmlDeviceGetNvLinkState gpu{n} {link}"] = 1
            answers[f"nvmlDeviceGetNvLinkVersion gpu{n} {link}"] = 4
            answers[f"nvmlDeviceGetNvLinkRemoteDeviceType gpu{n} {link}"] = 2
        answers[f"nvmlDeviceGetNvLinkState gpu{n} {links}"] = {"error": INVALID}
    return answers


def with_bridges():
    """Return four GPUs, 0 with 1 and 2 with 3 by direct NVLinks; one link of 2 and 3 is down."""
    answers = host(4)
    for n, other in ((0, 1), (1, 0), (2, 3), (3, 2)):
        for link in range(12):
            answers[f"nvmlDeviceGetNvLinkState gpu{n} {link}"] = 0 if n > 1 and link == 5 else 1
            answers[f"nvmlDeviceGetNvLinkVersion gpu{n} {link}"] = 4
            answers[f"nvmlDeviceGetNvLinkRemoteDeviceType gpu{n} {link}"] = 0
            answers[f"nvmlDeviceGetNvLinkRemotePciInfo gpu{n} {link}"] = address(other)
        answers[f"nvmlDeviceGetNvLinkState gpu{n} 12"] = {"error": INVALID}
    return answers


def with_mig():
    """Return two GPUs, of which the first is in MIG mode with two instances of seven."""
    answers = host(2)
    answers["nvmlDeviceGetMigMode gpu0"] = [1, 1]
    answers["nvmlDeviceGetMaxMigDeviceCount gpu0"] = 7
    for place in range(7):
        answers[f"nvmlDeviceGetMigDeviceHandleByIndex gpu0 {place}"] = {"error": NOT_FOUND}
    for place, profile, size in ((0, "3g.40gb", 40), (4, "1g.10gb", 10)):
        part = f"gpu0-{place}"
        answers[f"nvmlDeviceGetMigDeviceHandleByIndex gpu0 {place}"] = {"handle": part}
        answers[f"nvmlDeviceGetUUID {part}"] = f"MIG-00000000-0000-0000-0000-{place:012}"
        answers[f"nvmlDeviceGetName {part}"] = f"NVIDIA H100 80GB HBM3 MIG {profile}"
        answers[f"nvmlDeviceGetMemoryInfo {part}"] = {"struct": {"total": size * GIB}}
    return answers


def with_lost_gpus():
    """Return eight GPUs: 3 falls off the bus between two questions, 5 cannot even be opened."""
    answers = with_nvswitch()
    for key in [key for key in answers if " gpu3" in key and "Name" not in key]:
        answers[key] = {"error": LOST}
    answers["nvmlDeviceGetHandleByIndex 5"] = {"error": UNKNOWN}
    return answers


def with_troubles():
    """Return one GPU that is hot, has had errors, wants a reset, and may not be asked for all."""
    answers = host(1)
    answers["nvmlDeviceGetCurrentClocksEventReasons gpu0"] = 0x1 | 0x20 | 0x40
    answers["nvmlDeviceGetTotalEccErrors gpu0 1 0"] = 2
    answers["nvmlDeviceGetTotalEccErrors gpu0 1 1"] = 9
    answers["nvmlDeviceGetFieldValues gpu0 [230]"] = recovery(1)
    answers["nvmlDeviceGetComputeMode gpu0"] = 2
    answers["nvmlDeviceGetPersistenceMode gpu0"] = {"error": NO_PERMISSION}
    return answers


def with_old_driver():
    """Return two V100s under driver 418 and a binding of its time: texts are bytes."""
    answers = host(2, driver={"bytes": "418.226.00"}, cuda=10010)
    for n in range(2):
        answers[f"nvmlDeviceGetName gpu{n}"] = {"bytes": "Tesla V100-SXM2-16GB"}
        answers[f"nvmlDeviceGetUUID gpu{n}"] = {"bytes": f"GPU-{n}"}
        answers[f"nvmlDeviceGetCurrentClocksThrottleReasons gpu{n}"] = 0x4
        missing = ("MigMode", "FieldValues gpu", "CurrentClocksEventReasons", "NvLinkRemoteDevice")
        for link in range(6):
            answers[f"nvmlDeviceGetNvLinkState gpu{n} {link}"] = 1
            answers[f"nvmlDeviceGetNvLinkVersion gpu{n} {link}"] = 2
            answers[f"nvmlDeviceGetNvLinkRemoteDeviceType gpu{n} {link}"] = 0
            answers[f"nvmlDeviceGetNvLinkRemotePciInfo gpu{n} {link}"] = address(1 - n)
    for key in [key for key in answers if any(word in key for word in missing)]:
        answers[key] = {"error": FUNCTION_NOT_FOUND}
    return answers


def without_driver():
    """Return a machine without NVML's library."""
    return {"nvmlInit": {"error": LIBRARY_NOT_FOUND}}


def with_replaced_driver():
    """Return a node on which the driver was updated under its users."""
    return {"nvmlInit": {"error": MISMATCH}}


def _of(n, key):
    if "HandleByIndex" in key:
        return key
    name, _, rest = key.partition(" ")
    return f"{name} gpu{n} {rest}".strip()
