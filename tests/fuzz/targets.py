"""Every parser of what comes from outside, as a function of bytes.

A target raises nothing but what its parser documents, which it catches; where a parser has an
inverse or promises more, the target asserts it.
"""

import base64
import contextlib
import io
import json
import os
import tempfile
import time
from functools import cache

from mpijob_bench.comm.document import parse_comm
from mpijob_bench.comm.nccl_tests import import_nccl_tests
from mpijob_bench.errors import ResultError
from mpijob_bench.sizes import format_bytes, parse_bytes
from mpijob_local.manifest import load_manifest
from mpijob_local.quantity import parse_quantity
from mpijob_runtime import frames
from mpijob_runtime.advice import advise
from mpijob_runtime.agent.wrapper import _parse_message
from mpijob_runtime.binding import bind_local_ranks
from mpijob_runtime.console import Console
from mpijob_runtime.cpu_lists import format_cpu_list, parse_cpu_list
from mpijob_runtime.differences import find_differences, format_differences
from mpijob_runtime.early import find_report
from mpijob_runtime.errors import HostfileError, ManifestError, UsageError
from mpijob_runtime.fact_json import FactsError, facts_from_json, facts_to_json
from mpijob_runtime.facts import GpuHostFacts
from mpijob_runtime.frame_reader import FrameReader, parse_object
from mpijob_runtime.frames import FrameError
from mpijob_runtime.gpu_differences import find_gpu_differences, format_gpu_differences
from mpijob_runtime.gpu_table import format_gpu_host
from mpijob_runtime.host_formats import (
    format_discovered_hosts,
    parse_discovered_hosts,
    parse_hydra_hostfile,
    parse_training_operator_hostfile,
    parse_volcano_hosts,
)
from mpijob_runtime.hosts import format_hostfile, parse_host_list, parse_hostfile
from mpijob_runtime.keep_going import keeps_going
from mpijob_runtime.last_words import explain_last_words
from mpijob_runtime.masking import shown_value
from mpijob_runtime.mpirun_line import read_options
from mpijob_runtime.mpirun_output import plan_output
from mpijob_runtime.mpirun_words import explain_failure
from mpijob_runtime.nccl_log import NcclLog
from mpijob_runtime.output import RankOutput
from mpijob_runtime.preemption import Preemption
from mpijob_runtime.probes.host_certificate import find_fault
from mpijob_runtime.probes.nccl_maps import parse_maps
from mpijob_runtime.rank_environ import gate_words
from mpijob_runtime.records import parse_record
from mpijob_runtime.rsh import split_arguments
from mpijob_runtime.settings import Flags, Settings
from mpijob_runtime.spread import Placement, choose_judgement
from mpijob_runtime.stacks import RankStack, describe_stacks
from mpijob_runtime.stall import StallWatch
from mpijob_runtime.survey import Survey
from mpijob_runtime.values import parse_seconds, parse_switch
from mpijob_runtime.watch import HostWatch


def nccl_tests(data):
    """Read nccl-tests' output; what is read can be written."""
    with contextlib.suppress(ResultError):
        comm = import_nccl_tests(data)
        assert parse_comm(json.dumps(comm, allow_nan=False).encode()) == comm


def size(data):
    """Read a size; it survives being written and read again."""
    with contextlib.suppress(UsageError):
        found = parse_bytes(data.decode(errors="replace"))
        assert parse_bytes(format_bytes(found)) == found


def hostfile(data):
    """Read a hostfile; what is read survives being written and read again."""
    with contextlib.suppress(HostfileError):
        hosts = parse_hostfile(data, path="hostfile").hosts
        again = parse_hostfile(format_hostfile(hosts).encode(), path="again")
        assert again.hosts == hosts


def host_list(data):
    """Read the ``--host`` flag, or the list that Volcano gives."""
    text = os.fsdecode(data)
    for parse in (parse_host_list, parse_volcano_hosts):
        with contextlib.suppress(HostfileError):
            assert parse(text, source="list").hosts


def host_formats(data):
    """Read Hydra's, training-operator's and discover_hosts.sh's forms."""
    for parse in (parse_hydra_hostfile, parse_training_operator_hostfile):
        with contextlib.suppress(HostfileError):
            assert parse(data, path="hostfile").hosts
    with contextlib.suppress(HostfileError):
        hosts = parse_discovered_hosts(data, path="script", slots={"w0": 4}, default_slots=2)
        text = format_discovered_hosts(hosts).encode()
        assert parse_discovered_hosts(text, path="again") == hosts


def environ(data):
    """Read the launcher's environment, NAME=VALUE with NUL between; mask it as ``plan`` does."""
    pairs = (item.partition("=") for item in os.fsdecode(data).split("\0"))
    found = {name: value for name, _, value in pairs if name}
    for name, value in found.items():
        shown_value(name, value)
    for exists in (False, True):
        with contextlib.suppress(UsageError):
            Settings.from_environ(found, hostfile_exists=exists)


def env_flags(data):
    """Read the words of ``--env``."""
    words = tuple(os.fsdecode(data).split("\0"))
    with contextlib.suppress(UsageError):
        Settings.from_environ({"HOME": "/", "API_KEY": "x"}, flags=Flags(env=words))


def agent_frames(data):
    """Take what may be an agent in pieces; the first byte says how large they are."""
    size = data[0] + 1 if data else 1
    reader = FrameReader()
    try:
        for at in range(1, len(data), size):
            for rank, stream, content in reader.feed(data[at : at + size]):
                assert rank >= -1
                assert stream in (0, 1, 2)
                if rank < 0:
                    parse_object(content)
    except FrameError:
        return
    finally:
        assert isinstance(reader.noise, str)


class _Bytes:
    """A stream that gives these bytes and then its end."""

    def __init__(self, data):
        self._left = io.BytesIO(data)

    def read(self, *, timeout_seconds=None):
        return self._left.read(4096)

    def write(self, data):
        pass

    def errors(self):
        return ""

    def close(self):
        pass


def host_watch(data):
    """Follow a host that says anything, as a launch with a stall timeout does."""
    quiet = Console(stream=io.StringIO())
    settings = Settings.from_environ({"MPIJOB_STALL_TIMEOUT": "60"})
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        output = RankOutput(
            "json" if data[:1] == b"j" else "prefix", None, descriptors=(null, null)
        )
        watch = HostWatch("w0", _Bytes(data[1:]), None)
        stalls = StallWatch([watch], settings, output, quiet)
        preemption = Preemption([watch], 20.0, quiet)

        def on_event(host, event):
            record = parse_record(event, host)
            if record is not None:
                _use_record(record)
            elif event.get("event") == "warned":
                preemption.note_warned(host, event)
            elif event.get("event") in ("progress", "stacks"):
                stalls.note(host, event)

        watch._take(on_event, output.write)
        output.close()
    finally:
        os.close(null)


def records(data):
    """Read an event, as JSON, as a rank's record, and use it."""
    try:
        event = parse_object(data)
    except FrameError:
        return
    record = parse_record(event, "w0.job")
    if record is not None:
        _use_record(record)


def _use_record(record):
    placement = Placement({"w0.job": 2}, aliases={}, judgement="slots")
    placement.add(record)
    assert isinstance(placement.misplaced, list)
    assert isinstance(record.shell_code, int)
    format_differences(find_differences([record, record]))


def wrapper_message(data):
    """Read a wrapper's message; what is accepted reaches the launcher whole."""
    try:
        event, fields = _parse_message(os.fsdecode(data))
    except ValueError:
        return
    frame = frames.format_event({**fields, "event": event})
    found = parse_object(frame.partition(b"\n")[2])
    assert found == {**fields, "event": event}
    parse_record(found, "w0")


def launcher_command(data):
    """Read a command as an agent does."""
    found = frames.parse_command(data)
    assert all(isinstance(value, str) for value in found.values())


def machine(data):
    """Take what a host says of itself, and let networks be found, asked and chosen by it."""
    first, _, rest = data.partition(b"\n")
    try:
        said, links = parse_object(first), parse_object(rest.partition(b"\n")[0])
        events = [parse_object(line) for line in rest.split(b"\n")[1:]]
    except FrameError:
        return
    crew = [HostWatch(name, _Bytes(b""), None) for name in ("w0", "w1")]
    crew[0].hello = {"machine": json.loads(_MACHINE.format(1)), "links": _LINKS}
    crew[1].hello = {"machine": said, "links": links}
    survey = Survey(Console(stream=io.StringIO()))
    survey.begin(crew)
    for event in events:
        survey.note("w1", event)
        survey.note("w0", {"id": event.get("id"), "state": "done", "bytes": 9, "seconds": 0.1})
    while not survey.decided:
        survey.act(time.monotonic() + 60)
    places = {"w0": [0], "w1": [1, 2]}
    advise(survey.findings, places)
    told = gate_words(places, places, survey.findings)
    assert all(
        frames.parse_command(frames.format_command(words)) == words for words in told.values()
    )
    json.dumps(survey.network and survey.network.to_json(), allow_nan=False)


def ssh_arguments(data):
    """Split the command line that mpirun gives its ssh."""
    with contextlib.suppress(ValueError):
        split_arguments(os.fsdecode(data).split("\0"))


def mpirun_arguments(data):
    """Read mpirun's arguments for what they ask of us, and for what is wrong with them."""
    words = os.fsdecode(data).split("\0")
    settings = Settings.from_environ({}, output="plain")
    for major in (4, 5):
        assert sum(1 + len(o.values) for o in read_options(words, major=major)) <= 2 * len(words)
        plan_output(settings, words, major=major)
        judgement = choose_judgement(dict.fromkeys(words, ""), words, major=major)
        assert judgement in ("none", "hosts", "slots")
        assert keeps_going(words, dict.fromkeys(words, "0"), major=major) in (True, False)
        why = explain_failure(213, words[0], words, major=major)
        assert why is None or why.exit_code in (64, 78)


def launch_arguments(data):
    """Look for the report's path on a line of launch that may be anything."""
    words = os.fsdecode(data).split("\0")
    assert find_report(words) in (None, *words, *(word.partition("=")[2] for word in words))


def times_and_switches(data):
    """Read a time and a switch."""
    text = data.decode(errors="replace")
    seconds = parse_seconds(text)
    assert seconds is None or 0 <= seconds <= 30 * 24 * 3600
    assert parse_switch(text) in (None, True, False)


def last_words(data):
    """Look for causes in what a rank and mpirun wrote last."""
    text, _, said = data.decode(errors="replace").partition("\0")
    found = explain_last_words(text, said, 3)
    assert len(found.cause) < 2000


def stacks(data):
    """Group what ranks were doing."""
    texts = data.decode(errors="replace").split("\0")
    found = [
        RankStack(rank, f"w{rank}", "py-spy" if rank % 2 else "kernel", text)
        for rank, text in enumerate(texts)
    ]
    assert describe_stacks(found, stopped={0} if data[:1] == b"s" else (), silent=())


def gpu_facts(data):
    """Read what a worker says of its GPUs, and use it as the launcher does."""
    try:
        facts = facts_from_json(GpuHostFacts, parse_object(data))
    except (FrameError, FactsError):
        return
    assert facts_from_json(GpuHostFacts, json.loads(json.dumps(facts_to_json(facts)))) == facts
    assert format_gpu_host(facts).replace("\n", "").isprintable()
    found = bind_local_ranks(facts, facts.allowed_cpus, 3)
    assert len(found.places) == 3
    differences = find_gpu_differences({"w0": facts, "w1": GpuHostFacts()})
    assert isinstance(format_gpu_differences(differences), str)


def nccl_log(data):
    """Read along what two ranks write."""
    log = NcclLog()
    first, _, second = data.partition(b"\0")
    log.add(0, first)
    log.add(1, second)
    found = log.summary()
    assert json.dumps(found.to_json())
    assert found.describe().isprintable()


def process_maps(data):
    """Look for libnccl in what a process has mapped."""
    assert all("libnccl.so" in path for path in parse_maps(data.decode(errors="surrogateescape")))


def cpu_list(data):
    """Read a list of processors; what is read survives being written."""
    with contextlib.suppress(ValueError):
        cpus = parse_cpu_list(data.decode(errors="replace"))
        assert parse_cpu_list(format_cpu_list(cpus)) == cpus


def host_certificate(data):
    """Judge a host's certificate: a word for people, whatever it is."""
    key, authority, _ = certificate()
    found = find_fault(data, key=key, host="w0", authority=authority, now_seconds=1.8e9)
    assert found is None or (isinstance(found, str) and found.isprintable())


def manifest(data):
    """Load a manifest."""
    with tempfile.NamedTemporaryFile(dir=_memory(), suffix=".yaml") as file:
        file.write(data)
        file.flush()
        with contextlib.suppress(ManifestError):
            load_manifest(file.name)


def quantity(data):
    """Read a quantity of Kubernetes."""
    with contextlib.suppress(ValueError):
        assert parse_quantity(data.decode(errors="replace")) is not None


@cache
def _memory():
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@cache
def certificate():
    """Return a host's key, the authority, and the certificate's bytes, by another's code."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        SSHCertificateBuilder,
        SSHCertificateType,
    )

    authority = ec.derive_private_key(7, ec.SECP521R1())
    host = ec.derive_private_key(8, ec.SECP256R1()).public_key()
    built = (
        SSHCertificateBuilder()
        .public_key(host)
        .serial(1)
        .type(SSHCertificateType.HOST)
        .key_id(b"id")
        .valid_principals([b"w0", b"w0.job"])
        .valid_after(0)
        .valid_before(2**63)
        .sign(authority)
    )
    lines = [
        key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        for key in (host, authority.public_key())
    ]
    return lines[0], lines[1], base64.b64decode(built.public_bytes().split()[1])


_GREETING = frames.GREETING
_START = {"event": "start", "rank": 0, "time": 1.5, "world_size": 2, "job": "1", "env": {"A": "b"}}
_EVENTS = b"".join(
    frames.format_event(event)
    for event in (
        _START,
        {"event": "exit", "rank": 0, "time": 2, "signal": 9, "oom_kills": 1},
        {"event": "progress", "ranks": {"0": [1.5, "17", "R"]}},
        {"event": "stacks", "rank": 0, "how": "kernel", "text": "x"},
        {"event": "warned", "ranks": [0, 1]},
    )
)
_POD = '{containers: [{name: main, image: pi, command: [mpirun], env: [{name: A, value: "1"}]}]}'
_MANIFEST = f"""\
apiVersion: kubeflow.org/v2beta1
kind: MPIJob
metadata: {{name: pi}}
spec:
  slotsPerWorker: 2
  runPolicy: {{cleanPodPolicy: Running, backoffLimit: 0}}
  mpiReplicaSpecs:
    Launcher: {{template: {{spec: {_POD}}}}}
    Worker: {{replicas: 2, template: {{spec: {_POD}}}}}
"""
_MACHINE = """{{"cpus": 4, "memlock_bytes": 65536, "shm_bytes": 65536, "rdma": [{{"name": "r",
 "kind": "roce", "state": "ACTIVE", "rate": "1", "usable": true}}], "interfaces": [{{"name": "eth0",
 "mtu": 1500, "speed": 9, "addresses": ["10.0.0.{0}/8", "fd00::{0}/64"]}}, {{"name": "net1",
 "mtu": 9000, "speed": -1, "addresses": ["10.1.0.{0}/16"]}}]}}""".replace("\n", "")
_NCCL_JSON = b'{"version": 3, "args": ["all_reduce_perf"], "config": {"nthreads": 1, "ngpus": 2, '
_NCCL_JSON += (
    b'"devices": [{"hostname": "a", "group": 0}]}, "results": [{"size": 64, "type": "float", '
)
_NCCL_JSON += b'"redop": "sum", "out_of_place": {"time": 2.5, "alg_bw": 0.1, "bus_bw": "nan", '
_NCCL_JSON += (
    b'"nwrong": 0}, "out_of_place_per_iter": {"times_us": [2, 3], "skipped_iterations": 0}}]}'
)
_NCCL_TEXT = b"""\
# Collective test starting: broadcast_perf
#  Rank  0 Group  0 Pid 7 on a device  0 [0000:01:00] X
#  size  count  type  redop  root  time  algbw  busbw  #wrong
   64  16  float  none  -1  2.5  0.03  0.03  0
"""
_LINKS = {"word": "ab12", "ports": {"10.0.0.2": 4000, "10.1.0.2": 4001}}
_ANSWERS = [
    json.dumps({"id": id_, "state": state, "bytes": 1 << 16, "seconds": 0.1, "why": "x"}).encode()
    for id_, state in (("1.0", "open"), ("1.0", "done"), ("1.1", "done"), ("1.2", "failed"))
]
_GPU = (
    b'{"driver_version": "580", "gpus": [{"index": 0, "cpus": [0, 1], "name": "H100", '
    b'"mig_enabled": true, "mig_instances": [{"uuid": "MIG-1"}]}, {"index": 1, "fault": "lost"}], '
    b'"links": [{"first": 0, "second": 1, "level": "NV18"}], "allowed_cpus": [0, 1, 2], '
    b'"nics": [{"name": "mlx5_0", "rdma": true, "pci_bus_id": "0:1", "levels": ["PIX", ""]}]}'
)
_NCCL = b"""\
NCCL version 2.29.7+cuda13.2
a:1:1 [0] NCCL INFO Bootstrap: Using eth0:10.0.0.1<0>
a:1:1 [0] NCCL INFO Using network IB
a:1:1 [0] NCCL INFO Channel 00/0 : 0[0] -> 8[0] [send] via NET/IB/0(3)/GDRDMA/Shared
a:1:1 [0] NCCL INFO 24 coll channels, 16 nvls channels
\0a:1:1 [0] NCCL INFO Channel 00 : 0 -> 1 via SHM/direct/direct
"""
_TRACE = b'Traceback (most recent call last):\n  File "a.py", line 3, in f\nValueError: x\n'

TARGETS = {
    hostfile: [b"w0 slots=2\nw1:3 max_slots=4 # c\n", b"w0.a.svc cpu = 2\n\xef\xbb\xbf"],
    host_list: [b"w0:2,w1", b"localhost"],
    host_formats: [b"w0:2 binding=user:0 user=me\n", b"pod-0 slots=2\n", b"w0\nw1:3\n"],
    environ: [
        b"MPIJOB_TIMEOUT=1e3\0MPIJOB_OUTPUT=json\0MPIJOB_SSH_PORT=22\0VC_WORKER_HOSTS=a,b",
        b"OMPI_MCA_orte_default_hostfile=/etc/mpi/hostfile\0MPIJOB_HOST_NAMES=a b\0MPIJOB_ENV=N*",
        b"OMPI_MCA_plm_rsh_agent=/etc/mpi/kubexec.sh\0OMPI_MCA_orte_set_default_slots=4\0A_KEY=u",
        b"MPIJOB_GRACE=nan\0MPIJOB_RUN_DIR=/x\0MPIJOB_STALL_ACTION=abort\0URL=http://a:b@c",
    ],
    env_flags: [b"A=b\0N*\0HOME", b"API_KEY"],
    agent_frames: [b"\x05noise\n" + _GREETING + _EVENTS + b"O 1 2 3\nabc"],
    host_watch: [b"j" + _GREETING + _EVENTS + b"O 1 1 4\na\rb\n", b"p" + _GREETING + _EVENTS],
    records: [b'{"event": "exit", "rank": 1, "time": 1, "exit_code": 3}', _EVENTS[11:90]],
    wrapper_message: [
        b"start\0time=1.5\0rank=0\0world_size=2\0found=1\0job=7\0env.PATH=/bin",
        b"running\0time=2\0pid=7",
        b"exit\0time=3\0monotonic=4\0signal=9\0oom_kills=0",
    ],
    machine: [b"\n".join((_MACHINE.format(2).encode(), json.dumps(_LINKS).encode(), *_ANSWERS))],
    launcher_command: [b"do=signal\0number=15", b"attempt=1\0keep=a,b\0grace_seconds=20"],
    ssh_arguments: [b"-x\0-p\x0022\0me@w0\0orted\0-mca", b"--\0w0\0true"],
    mpirun_arguments: [
        b"--rtos\0error=0\0:\0--mca\0orte_max_restarts\x001",
        b"--map-by\0slot\0-H=a",
        b"OMPI_MCA_rmaps_x\0-np\x002",
        b"-bind-to\0none\0--output\0tag,file=/o\0-mca\0orte_tag_output\x001\0:\0--display=map",
    ],
    launch_arguments: [b"-n\x002\0--report\0r\0--\0x", b"--report=r\0-q\0x"],
    times_and_switches: [b"1h30m", b"500ms", b"90", b"1.5d", b"True", b"off"],
    last_words: [_TRACE + b"\0MPI_ABORT was invoked on rank 3\nwith errorcode 7", b"NCCL WARN x"],
    stacks: [b"s\0Thread 1\n    f (a.py:3)\n    g (b.py:4)\0process 7 (x): S, waiting in y"],
    gpu_facts: [_GPU],
    nccl_log: [_NCCL],
    process_maps: [b"7f-8f r-xp 0 fe:01 1   /a/libnccl.so.2\n7f r 0 0 0 /b/libnccl.so.2 (deleted)"],
    cpu_list: [b"0-3,7", b"8191"],
    host_certificate: [certificate()[2]],
    manifest: [_MANIFEST.encode(), b"a: &a [1]\nb: *a\n<<: {c: 2001-01-01}\n"],
    quantity: [b"512Mi", b"1.5e3", b"250m"],
    nccl_tests: [_NCCL_JSON, _NCCL_TEXT],
    size: [b"256MiB", b"25 MB", b"1024"],
}
"""Target -> inputs to begin with."""

BY_NAME = {target.__name__: target for target in TARGETS}
