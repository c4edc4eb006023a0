import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpijob_runtime.errors import HostfileError
from mpijob_runtime.hosts import (
    MAX_SLOTS,
    Host,
    Hostfile,
    format_hostfile,
    missing_hostfile,
    parse_host_list,
    parse_hostfile,
    short_name,
)

PATH = "/etc/mpi/hostfile"

GOOD = {
    "open mpi": (b"w0 slots=2\nw1 slots=3\n", (("w0", 2), ("w1", 3))),
    "hydra": (b"w0:2\nw1:3\n", (("w0", 2), ("w1", 3))),
    "both spellings": (b"w0:2\nw1 slots=3\n", (("w0", 2), ("w1", 3))),
    "no slots": (b"w0\nw1\n", (("w0", 1), ("w1", 1))),
    "synonyms": (b"w0 cpu=2\nw1 count=3\n", (("w0", 2), ("w1", 3))),
    "no newline at the end": (b"w0 slots=2", (("w0", 2),)),
    "comment lines": (b"# the hosts\n  # of the job\nw0 slots=2\n", (("w0", 2),)),
    "comment after a host": (b"w0 slots=2 # first\nw1#second\n", (("w0", 2), ("w1", 1))),
    "comment at the very end": (b"w0\n# end", (("w0", 1),)),
    "blank lines": (b"\n\nw0\n   \n\t\nw1\n\n", (("w0", 1), ("w1", 1))),
    "spaces around": (b"   w0    slots=2   \n", (("w0", 2),)),
    "spaces around the equals sign": (b"w0 slots = 2\n", (("w0", 2),)),
    "a tab between": (b"w0\tslots=2\n", (("w0", 2),)),
    "a tab, then a space": (b"w0\tslots=2 max_slots=4\n", (("w0", 2),)),
    "max_slots": (b"w0 slots=2 max_slots=4\nw1 max-slots=4 slots=4\n", (("w0", 2), ("w1", 4))),
    "full names": (b"pi-worker-0.pi.default.svc slots=1\n", (("pi-worker-0.pi.default.svc", 1),)),
    "an IPv4 address": (b"10.0.0.7 slots=1\n", (("10.0.0.7", 1),)),
    "most slots": (b"w0 slots=1000000\n", (("w0", MAX_SLOTS),)),
}

# input, line, words that say what was found, words that say what was wanted
BAD = {
    "empty": (b"", 0, "an empty file", "NAME slots=N"),
    "only spaces": (b"  \n\t\n", 0, "an empty file", "NAME slots=N"),
    "only comments": (b"# none\n#yet\n", 0, "no host in it", "NAME slots=N"),
    "CRLF": (b"w0 slots=1\r\nw1 slots=1\n", 1, "carriage return", "line feed alone"),
    "CR alone": (b"w0\rw1\n", 1, "carriage return", "line feed alone"),
    "BOM": (b"\xef\xbb\xbfw0 slots=1\n", 1, "byte-order mark", "UTF-8 without"),
    "duplicate": (b"w0\nw1\nw0\n", 3, "host w0 a second time", "line 1"),
    "duplicate in two spellings": (b"w0:2\nw0 slots=2\n", 2, "host w0 a second time", "line 1"),
    "no slot": (b"w0 slots=0\n", 1, "slots 0", "from 1 to 1000000"),
    "no slot, Hydra": (b"w0:0\n", 1, "slots 0", "from 1 to 1000000"),
    "negative slots": (b"w0 slots=-1\n", 1, "'-1'", "whole number"),
    "half a slot": (b"w0 slots=1.5\n", 1, "'1.5'", "whole number"),
    "slots in words": (b"w0 slots=two\n", 1, "'two'", "whole number"),
    "slots in other digits": ("w0 slots=٣\n".encode(), 1, "'٣'", "whole number"),
    "too many slots": (b"w0 slots=1000001\n", 1, "1000001", "from 1 to 1000000"),
    "far too many slots": (b"w0 slots=" + b"9" * 5000 + b"\n", 1, "999", "whole number"),
    "slots without a number": (b"w0 slots=\n", 1, "'slots='", "'slots=N'"),
    "Hydra without a number": (b"w0:\n", 1, "slots ''", "whole number"),
    "slots twice": (b"w0 slots=1 slots=2\n", 1, "'slots' a second time", "slots once"),
    "slots in both spellings": (b"w0:1 slots=1\n", 1, "'slots' a second time", "slots once"),
    "unknown key": (b"w0 gpus=4\n", 1, "key 'gpus'", "'slots' or 'max_slots'"),
    "key in capitals": (b"w0 SLOTS=4\n", 1, "key 'SLOTS'", "'slots' or 'max_slots'"),
    "a word more": (b"w0 4\n", 1, "'4'", "'slots=N'"),
    "max_slots below slots": (b"w0 slots=4 max_slots=2\n", 1, "max_slots=2", "at least that"),
    "IPv6": (b"::1 slots=1\n", 1, "'::1'", "IPv6"),
    "IPv6 in brackets": (b"[fe80::1]:4\n", 1, "'[fe80::1]:4'", "IPv6"),
    "leading dash": (b"-oProxyCommand=x slots=1\n", 1, "'-oProxyCommand=x'", "a host name"),
    "trailing dash": (b"w0- slots=1\n", 1, "'w0-'", "a host name"),
    "commas": (b"w0,w1 slots=1\n", 1, "'w0,w1'", "a host name"),
    "semicolon": (b"w0;reboot\n", 1, "'w0;reboot'", "a host name"),
    "command substitution": (b"$(reboot)\n", 1, "'$(reboot)'", "a host name"),
    "back quotes": (b"`id`\n", 1, "'`id`'", "a host name"),
    "pipe": (b"w0|id\n", 1, "'w0|id'", "a host name"),
    "user@host": (b"root@w0\n", 1, "'root@w0'", "a host name"),
    "two dots": (b"w0..svc\n", 1, "'w0..svc'", "a host name"),
    "label of 64 letters": (b"a" * 64 + b"\n", 1, "aaa", "a host name"),
    "name of 260 letters": (b".".join([b"abcdefghi"] * 26) + b"\n", 1, "abc", "a host name"),
    "not ASCII": ("wörker\n".encode(), 1, "'wörker'", "a host name"),
    "escape sequence": (b"\x1b[2Jw0\n", 1, "\\x1b", "host name"),
    "binary": (b"w0\n\x7fELF\x00\x01", 2, "a zero byte", "plain text"),
    "UTF-16": ("w0\n".encode("utf-16-le"), 1, "a zero byte", "plain text"),
    "not UTF-8": (b"w0\nw\xff1\n", 2, "0xff", "plain text"),
}


@pytest.mark.parametrize(("data", "expected"), GOOD.values(), ids=GOOD.keys())
def test_reads_every_allowed_spelling(data, expected):
    """Each allowed spelling gives its hosts and slots, in the file's order."""
    found = parse_hostfile(data, path=PATH)
    assert expected == tuple((host.name, host.slots) for host in found.hosts)


@pytest.mark.parametrize(("data", "line", "found", "wanted"), BAD.values(), ids=BAD.keys())
def test_refuses_bad_input_with_path_line_found_and_wanted(data, line, found, wanted):
    """Each bad input ends with 65 and a message that says where, what and what instead."""
    with pytest.raises(HostfileError) as caught:
        parse_hostfile(data, path=PATH)
    message = str(caught.value)
    place = f"{PATH}:{line}: found " if line else f"{PATH}: found "
    expected = 65
    assert expected == caught.value.exit_code
    assert place in message
    assert found in message.split(", wanted ", 1)[0]
    assert wanted in message.split(", wanted ", 1)[1]


@pytest.mark.parametrize("data", [case[0] for case in BAD.values()], ids=BAD.keys())
def test_message_is_short_and_printable(data):
    """A message never carries control characters or a whole long line into a terminal."""
    with pytest.raises(HostfileError) as caught:
        parse_hostfile(data, path=PATH)
    lines = str(caught.value).splitlines()
    assert all(line.isprintable() for line in lines)
    assert max(len(line) for line in lines) < 250


def test_all_problems_are_reported_at_once():
    """Every wrong line has its own entry, in order, and good lines have none."""
    data = b"w0 slots=0\nw1\nw2 gpus=1\nw1\n"
    with pytest.raises(HostfileError) as caught:
        parse_hostfile(data, path=PATH)
    expected = [1, 3, 4]
    assert expected == [problem.line for problem in caught.value.problems]
    assert all(f"{PATH}:{number}: " in str(caught.value) for number in expected)


def test_many_problems_are_counted_after_the_first_ten():
    """A file of nothing but errors shows ten of them and how many more there are."""
    with pytest.raises(HostfileError) as caught:
        parse_hostfile(b"-x\n" * 500, path=PATH)
    assert len(caught.value.problems) == 500
    assert "… and 490 more" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 12


def test_max_slots_is_held_against_the_default_slots():
    """max_slots below the slots that a line gets by default is as wrong as below its own."""
    with pytest.raises(HostfileError, match="max_slots=2"):
        parse_hostfile(b"w0 max_slots=2\n", path=PATH, default_slots=4)


def test_default_slots_hold_where_a_line_gives_none():
    """The operator's default is for lines without slots only."""
    found = parse_hostfile(b"w0\nw1 slots=2\n", path=PATH, default_slots=4)
    assert found == Hostfile((Host("w0", 4), Host("w1", 2)), PATH)
    assert found.world_size == 6


@pytest.mark.parametrize(
    ("name", "expected"),
    [("pi-worker-0.pi.default.svc", "pi-worker-0"), ("w0", "w0"), ("10.0.0.7", "10.0.0.7")],
)
def test_short_name_is_the_first_label(name, expected):
    """A host's short name is its pod's name."""
    assert expected == short_name(name)


TIMED = """
import sys, time
from mpijob_runtime.hosts import HostfileError, parse_hostfile
data = sys.stdin.buffer.read()
began = time.process_time()
try:
    found = parse_hostfile(data, path="h").world_size
except HostfileError as error:
    found = len(error.problems)
print(time.process_time() - began, found)
"""


@pytest.mark.parametrize(
    ("line", "expected"),
    [("worker-{}.job.namespace.svc slots=8\n", 800_000), ("w{},x slots=0\n", 100_000)],
    ids=["valid", "wrong"],
)
def test_a_hundred_thousand_lines_are_read_within_two_seconds(line, expected):
    """A large file is read in time, or refused in time; measured where nothing traces."""
    data = "".join(line.format(number) for number in range(100_000)).encode()
    environ = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    argv = [sys.executable, "-c", TIMED]
    answer = subprocess.run(argv, input=data, capture_output=True, check=True, env=environ)
    seconds, found = answer.stdout.split()
    assert float(seconds) < 2.0
    assert expected == int(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost", (Host("localhost"),)),
        ("localhost:2", (Host("localhost", 2),)),
        ("w0,w1:3", (Host("w0"), Host("w1", 3))),
    ],
)
def test_host_flag_is_a_list(text, expected):
    """--host takes names with counts, separated by commas."""
    assert parse_host_list(text) == Hostfile(expected, "--host")


@pytest.mark.parametrize("text", ["", ",", "w0,w0", "w0:0", "w0:x", "-w", "w0;w1", "\udcff"])
def test_host_flag_refuses_what_a_hostfile_refuses(text):
    """A wrong --host ends with 65 and names the flag."""
    with pytest.raises(HostfileError, match="--host"):
        parse_host_list(text)


def test_missing_hostfile_names_the_path_and_the_places_to_look():
    """A hostfile that is not there ends with 65, its path, and where one can come from."""
    error = missing_hostfile("/nowhere", "No such file or directory")
    expected = 65
    assert expected == error.exit_code
    assert "/nowhere: found No such file or directory, wanted a readable file" in str(error)
    assert "MPIJOB_HOSTFILE" in error.remedy


LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
HOSTS = st.lists(
    st.builds(Host, NAMES, st.integers(1, MAX_SLOTS)),
    min_size=1,
    max_size=20,
    unique_by=lambda host: host.name,
)


@given(HOSTS)
def test_format_is_the_inverse_of_parse(hosts):
    """What was written is read back unchanged."""
    found = parse_hostfile(format_hostfile(hosts).encode(), path=PATH)
    assert tuple(hosts) == found.hosts


@given(HOSTS)
def test_host_flag_and_hostfile_agree(hosts):
    """The same hosts, given by flag or by file, are the same."""
    text = ",".join(f"{host.name}:{host.slots}" for host in hosts)
    assert tuple(hosts) == parse_host_list(text).hosts


@given(st.one_of(st.binary(max_size=300), st.text(max_size=200).map(str.encode)))
def test_arbitrary_bytes_are_hosts_or_a_hostfile_error(data):
    """No input whatever ends in another exception or in a host that is none."""
    try:
        found = parse_hostfile(data, path=PATH)
    except HostfileError as error:
        assert error.problems  # noqa: PT017 - both ends are legal
    else:
        assert found.hosts
        assert all(1 <= host.slots <= MAX_SLOTS for host in found.hosts)
        assert not any(set(host.name) & set(" ,;$`|&<>\"'\\\n\r\t") for host in found.hosts)


@given(st.text(alphabet="w01:=# \tslotmax_-.\r\n", max_size=60))
def test_texts_close_to_hostfiles_are_hosts_or_a_hostfile_error(text):
    """Near misses of the grammar never end in another exception."""
    try:
        found = parse_hostfile(text.encode(), path=PATH)
    except HostfileError as error:
        assert error.problems  # noqa: PT017 - both ends are legal
    else:
        assert parse_hostfile(format_hostfile(found.hosts).encode(), path=PATH) == found
