import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpijob_runtime.errors import HostfileError
from mpijob_runtime.host_formats import (
    format_discovered_hosts,
    parse_discovered_hosts,
    parse_hydra_hostfile,
    parse_training_operator_hostfile,
    parse_volcano_hosts,
)
from mpijob_runtime.hosts import MAX_SLOTS, Host

PATH = "/etc/mpi/hostfile"


def hydra(data):
    """Read Hydra's form."""
    return parse_hydra_hostfile(data, path=PATH).hosts


def training_operator(data):
    """Read training-operator v1's form."""
    return parse_training_operator_hostfile(data, path=PATH).hosts


def volcano(data):
    """Read Volcano's form, given as bytes like the others."""
    return parse_volcano_hosts(data.decode(errors="surrogateescape"), source=PATH).hosts


def discovered(data):
    """Read a discovery script's output."""
    return parse_discovered_hosts(data, path=PATH, default_slots=4)


GOOD = {
    "hydra": (hydra, b"w0:2\nw1:3\n", (("w0", 2), ("w1", 3))),
    "hydra, no number": (hydra, b"w0\nw1:2", (("w0", 1), ("w1", 2))),
    "hydra, comments": (hydra, b"# hosts\n  # more\nw0:2 # first\n", (("w0", 2),)),
    "hydra, binding": (hydra, b"w0:2 binding=user:0,1\n", (("w0", 2),)),
    "hydra, user": (hydra, b"w0:2\tuser=mpi binding=rr\nw1\n", (("w0", 2), ("w1", 1))),
    "hydra, mpi-operator's": (hydra, b"pi-worker-0.pi.a.svc:4\n", (("pi-worker-0.pi.a.svc", 4),)),
    "v1": (training_operator, b"pi-worker-0 slots=2\n", (("pi-worker-0", 2),)),
    "v1, spaces": (training_operator, b" w0   slots=2 \n\nw1 slots=1\n", (("w0", 2), ("w1", 1))),
    "volcano": (volcano, b"j-worker-0.j,j-worker-1.j", (("j-worker-0.j", 1), ("j-worker-1.j", 1))),
    "volcano, comma at the end": (volcano, b"w0.j,w1.j,", (("w0.j", 1), ("w1.j", 1))),
    "volcano, a file": (volcano, b"w0.j\nw1.j\n", (("w0.j", 1), ("w1.j", 1))),
    "volcano, spaces": (volcano, b"w0.j, w1.j", (("w0.j", 1), ("w1.j", 1))),
    "script": (discovered, b"w0.j.a.svc\nw1.j.a.svc\n", (("w0.j.a.svc", 4), ("w1.j.a.svc", 4))),
    "script, slots": (discovered, b"w0:2\nw1\n", (("w0", 2), ("w1", 4))),
    "script, nobody runs": (discovered, b"", ()),
    "script, blank lines": (discovered, b"\n\n", ()),
}

# reader, input, line, words that say what was found, words that say what was wanted
BAD = {
    "hydra, empty": (hydra, b"", 0, "an empty file", "at least one line"),
    "hydra, comments alone": (hydra, b"# w0\n", 0, "no host in it", "at least one line"),
    "hydra, Open MPI's form": (hydra, b"w0 slots=2\n", 1, "'slots=2'", "'binding=…' or 'user=…'"),
    "hydra, a key without a value": (hydra, b"w0 user=\n", 1, "'user='", "'user=…'"),
    "hydra, a word": (hydra, b"w0 w1\n", 1, "'w1'", "'binding=…'"),
    "hydra, user twice": (hydra, b"w0 user=a user=b\n", 1, "'user' a second time", "once"),
    "hydra, no slot": (hydra, b"w0:0\n", 1, "slots 0", "from 1"),
    "hydra, slots in words": (hydra, b"w0:two\n", 1, "'two'", "whole number"),
    "hydra, an option": (hydra, b"-f:1\n", 1, "'-f:1'", "a host name"),
    "hydra, twice": (hydra, b"w0:1\nw0:2\n", 2, "host w0 a second time", "line 1"),
    "v1, full names": (training_operator, b"w0.j.a.svc slots=1\n", 1, "'w0.j.a.svc'", "bare name"),
    "v1, no slots": (training_operator, b"w0\n", 1, "''", "'slots=N'"),
    "v1, another key": (training_operator, b"w0 cpus=2\n", 1, "'cpus=2'", "'slots=N'"),
    "v1, no number": (training_operator, b"w0 slots=x\n", 1, "'x'", "whole number"),
    "v1, empty": (training_operator, b"\n", 0, "an empty file", "at least one line"),
    "volcano, empty": (volcano, b"", 0, "an empty file", "at least one line"),
    "volcano, commas alone": (volcano, b",,", 0, "an empty file", "at least one line"),
    "volcano, slots": (volcano, b"w0:2,w1", 1, "'w0:2'", "have no slots"),
    "volcano, two on a line": (volcano, b"w0 w1", 1, "'w0 w1'", "a host name"),
    "volcano, not UTF-8": (volcano, b"w0,w\xff", 2, "0xff", "plain text"),
    "volcano, twice": (volcano, b"w0,w0", 2, "host w0 a second time", "line 1"),
    "script, an error message": (discovered, b"no pod yet\n", 1, "'no pod yet'", "a host name"),
    "script, no slot": (discovered, b"w0:0\n", 1, "slots 0", "from 1"),
    "script, CRLF": (discovered, b"w0\r\n", 1, "carriage return", "line feed alone"),
    "script, IPv6": (discovered, b"::1\n", 1, "'::1'", "IPv6"),
    "script, binary": (discovered, b"w0\n\x00", 2, "a zero byte", "plain text"),
    "script, twice": (discovered, b"w0\nw0:2\n", 2, "host w0 a second time", "line 1"),
}


@pytest.mark.parametrize(("read", "data", "expected"), GOOD.values(), ids=GOOD.keys())
def test_reads_what_each_operator_writes(read, data, expected):
    """Hosts and slots come in the order in which they are written."""
    assert expected == tuple((host.name, host.slots) for host in read(data))


@pytest.mark.parametrize(("read", "data", "line", "found", "wanted"), BAD.values(), ids=BAD.keys())
def test_refuses_bad_input_with_place_found_and_wanted(read, data, line, found, wanted):
    """Each wrong line ends with 65 and says where, what and what instead."""
    with pytest.raises(HostfileError) as caught:
        read(data)
    message = str(caught.value)
    assert caught.value.exit_code == 65
    assert (f"{PATH}:{line}: found " if line else f"{PATH}: found ") in message
    assert found in message.split(", wanted ", 1)[0]
    assert wanted in message.split(", wanted ", 1)[1]


def test_all_problems_come_at_once():
    """Two wrong lines are two problems, and the good one between them is none."""
    with pytest.raises(HostfileError) as caught:
        hydra(b"w0:0\nw1:1\nw2 cpus=1\n")
    assert [problem.line for problem in caught.value.problems] == [1, 3]


LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
HOSTS = st.lists(
    st.builds(Host, NAMES, st.integers(1, MAX_SLOTS)),
    max_size=20,
    unique_by=lambda host: host.name,
)


@given(HOSTS)
def test_discovered_hosts_are_read_back_unchanged(hosts):
    """What is printed for horovodrun is what a script may print."""
    text = format_discovered_hosts(tuple(hosts))
    assert parse_discovered_hosts(text.encode(), path=PATH) == tuple(hosts)


@given(st.lists(NAMES, min_size=1, max_size=20, unique=True))
def test_volcanos_variable_and_its_file_agree(names):
    """The same names by commas and by lines are the same hosts."""
    by_commas = parse_volcano_hosts(",".join(names), source=PATH)
    by_lines = parse_volcano_hosts("\n".join(names) + "\n", source=PATH)
    assert by_commas == by_lines
    assert [host.name for host in by_lines.hosts] == names


@pytest.mark.parametrize("read", [hydra, volcano, training_operator, discovered])
@given(
    data=st.one_of(
        st.binary(max_size=300),
        st.text(alphabet="w01:=,# \tslotuserbinding-.\r\n", max_size=60).map(str.encode),
    )
)
def test_arbitrary_bytes_are_hosts_or_a_hostfile_error(read, data):
    """No input ends in another exception, or in a host that is none."""
    try:
        hosts = read(data)
    except HostfileError as error:
        assert error.problems  # noqa: PT017 - both ends are legal
    else:
        assert all(1 <= host.slots <= MAX_SLOTS for host in hosts)
        assert not any(set(host.name) & set(" ,;:$`|&<>\"'\\\n\r\t") for host in hosts)
