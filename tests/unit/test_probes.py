import json
import os
import subprocess
import sys

import pytest

from mpijob_runtime.facts import InterfaceFacts, KeyFacts, MpiFacts, UserFacts
from mpijob_runtime.probes import container
from mpijob_runtime.probes.container import probe_container
from mpijob_runtime.probes.keys import find_key
from mpijob_runtime.probes.mpi import find_real_program, parse_version, probe_mpi
from mpijob_runtime.probes.system import (
    count_cpus,
    memory_limit,
    parse_capabilities,
    probe_system,
    probe_user,
    read_text,
)
from mpijob_runtime.settings import Settings

PEM = "-----BEGIN EC PRIVATE KEY-----\nMIHc\n-----END EC PRIVATE KEY-----\n"
GIB = 1 << 30


def reader(**files):
    """Return a read function over recorded texts; dots stand for slashes in the names."""
    return lambda path: files.get(path.rsplit("/", 1)[1].replace(".", "_"), "")


@pytest.fixture
def make_program(tmp_path):
    """Return a function that makes an executable script in a directory of its own."""

    def make(place, name, text, mode=0o755):
        directory = tmp_path / place
        directory.mkdir(exist_ok=True)
        path = directory / name
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    return make


SHIM = '#!/opt/venv/bin/python -I\n"""mpijob-runtime shim: hands over."""\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mpirun (Open MPI) 4.1.4\n\nReport bugs to …\n", ("Open MPI", "4.1.4", 4)),
        ("mpirun (Open MPI) 5.0.11\n", ("Open MPI", "5.0.11", 5)),
        ("mpirun (Open MPI) 5.0.0rc9\n", ("Open MPI", "5.0.0", 5)),
        ("mpirun (OpenRTE) 4.0.3\n", ("Open MPI", "4.0.3", 4)),
        ("warning: something\nmpirun (Open MPI) 4.1.6\n", ("Open MPI", "4.1.6", 4)),
        ("mpirun (IBM Spectrum MPI) 10.4\n", ("IBM Spectrum MPI", "10.4", 10)),
        ("HYDRA build details:\n    Version:            4.2.0\n", ("Hydra", "4.2.0", 4)),
    ],
)
def test_every_known_version_text_is_understood(text, expected):
    """Name, version and generation come from what mpirun --version prints."""
    found = parse_version(text, mpirun="/m")
    assert expected == (found.name, found.version, found.major)
    assert found.mpirun == "/m"


@pytest.mark.parametrize("text", ["", "mpirun", "usage: mpirun", "mpirun (Open MPI) five"])
def test_an_unknown_version_text_is_nothing(text):
    """What says nothing known is no MPI."""
    assert parse_version(text, mpirun="/m") is None


def test_the_search_steps_over_shims_and_what_cannot_run(make_program, tmp_path):
    """The first real, executable mpirun on PATH is found, not our shim before it."""
    make_program("a", "mpirun", SHIM)
    make_program("b", "mpirun", "#!/bin/sh\n", mode=0o644)
    (tmp_path / "c" / "mpirun").mkdir(parents=True)
    wanted = make_program("d", "mpirun", "#!/bin/sh\n")
    make_program("e", "mpirun", "#!/bin/sh\n")
    path = ":".join(f"{tmp_path}/{place}" for place in ("missing", "a", "b", "c", "d", "e"))
    assert wanted == find_real_program("mpirun", path)


def test_nothing_but_shims_is_nothing(make_program, tmp_path):
    """A shim never finds itself."""
    make_program("a", "mpirun", SHIM)
    assert find_real_program("mpirun", f"{tmp_path}/a") is None


def test_the_images_own_program_is_found_on_any_path(make_program, tmp_path, monkeypatch):
    """A PATH that somebody else has set does not hide it; what they put on it comes first."""
    monkeypatch.setattr("mpijob_runtime.probes.mpi.OPEN_MPI", str(tmp_path))
    wanted = make_program("bin", "mpirun", "#!/bin/sh\necho 'mpirun (Open MPI) 5.0.11'\n")
    theirs = make_program("a", "mpirun", "#!/bin/sh\n")
    shim = make_program("b", "mpirun", SHIM)
    assert find_real_program("mpirun", "/missing:/usr/nothing") == wanted
    assert find_real_program("mpirun", f"{tmp_path}/a") == theirs
    assert probe_mpi(path=f"{tmp_path}/b", mpirun=shim) == MpiFacts("Open MPI", "5.0.11", wanted)


@pytest.mark.parametrize("name", ["mpirun", "horovodrun", "sshd"])
def test_the_shims_of_the_images_carry_the_mark(name, make_program, tmp_path):
    """The real files in entrypoints/ are recognised."""
    source = os.path.join(os.path.dirname(__file__), "..", "..", "entrypoints", name)
    make_program("a", name, read_text(source))
    assert read_text(source)
    assert find_real_program(name, f"{tmp_path}/a") is None


def test_an_empty_place_on_path_is_the_current_directory(make_program, tmp_path, monkeypatch):
    """As every shell has it; the result is absolute."""
    wanted = make_program("a", "mpirun", "#!/bin/sh\n")
    monkeypatch.chdir(tmp_path / "a")
    assert wanted == find_real_program("mpirun", ":/missing")


def test_mpirun_is_asked_for_its_version(make_program, tmp_path):
    """The probe runs what it found."""
    wanted = make_program("a", "mpirun", "#!/bin/sh\necho 'mpirun (Open MPI) 5.0.11'\n")
    assert probe_mpi(path=f"{tmp_path}/a") == MpiFacts("Open MPI", "5.0.11", wanted)


def test_the_given_mpirun_is_asked(make_program):
    """MPIJOB_MPIRUN is taken without a search."""
    wanted = make_program("a", "other", "#!/bin/sh\necho 'mpirun (Open MPI) 4.1.4'\n")
    assert probe_mpi(path="", mpirun=wanted) == MpiFacts("Open MPI", "4.1.4", wanted)


@pytest.mark.parametrize("mpirun", ["/nowhere/mpirun", "/bin/true", "/etc/passwd", None])
def test_no_usable_mpirun_is_nothing(mpirun):
    """Absence and nonsense are facts, not errors."""
    assert probe_mpi(path="/nowhere", mpirun=mpirun) is None


@pytest.mark.parametrize(
    ("affinity", "files", "expected"),
    [
        (8, {}, 8),
        (8, {"cpu_max": "max 100000\n"}, 8),
        (8, {"cpu_max": "200000 100000\n"}, 2),
        (8, {"cpu_max": "150000 100000\n"}, 2),
        (8, {"cpu_max": "50000 100000\n"}, 1),
        (1, {"cpu_max": "200000 100000\n"}, 1),
        (8, {"cpu_max": "200000 0\n"}, 8),
        (8, {"cpu_max": "garbage\n"}, 8),
        (8, {"cpu_cfs_quota_us": "-1\n", "cpu_cfs_period_us": "100000\n"}, 8),
        (8, {"cpu_cfs_quota_us": "300000\n", "cpu_cfs_period_us": "100000\n"}, 3),
        (0, {}, 1),
    ],
)
def test_processors_are_what_affinity_and_quota_leave(affinity, files, expected):
    """Cgroup v2 and v1 quotas are rounded up and never above the affinity mask."""
    assert expected == count_cpus(affinity, read=reader(**files))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"memory_max": "max\n"}, None),
        ({"memory_max": f"{2 * GIB}\n"}, 2 * GIB),
        ({"memory_max": f"{64 * GIB}\n"}, None),
        ({"memory_limit_in_bytes": f"{GIB}\n"}, GIB),
        ({"memory_limit_in_bytes": "9223372036854771712\n"}, None),
    ],
)
def test_the_memory_limit_is_the_cgroups_if_it_is_one(files, expected):
    """Cgroup v2 and v1; a limit above the machine's memory is none."""
    assert expected == memory_limit(16 * GIB, read=reader(**files))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("CapEff:\t0000000000000000\n", set()),
        (
            "CapInh:\t0000\nCapEff:\t00000000a80425fb\n",
            {"CHOWN", "SETGID", "SETUID", "NET_BIND_SERVICE", "SYS_CHROOT"},
        ),
        ("CapEff:\t0000000000000080\n", {"SETUID"}),
        ("", set()),
    ],
)
def test_capabilities_are_read_by_name(status, expected):
    """The effective set, of those that sshd cares for."""
    assert expected == parse_capabilities(status)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"status": "NoNewPrivs:\t1\n", "ptrace_scope": "1\n"}, (True, 1)),
        ({"status": "NoNewPrivs:\t0\n", "ptrace_scope": "0\n"}, (False, 0)),
        ({}, (False, 0)),
    ],
)
def test_privileges_come_from_the_kernel(files, expected):
    """no_new_privs and Yama's setting, absent files included."""
    found = probe_system("/tmp", read=reader(**files))
    assert expected == (found.no_new_privileges, found.ptrace_scope)


def test_this_machine_can_be_probed():
    """The real files give sane facts."""
    found = probe_system("/tmp")
    assert found.hostname == os.uname().nodename
    assert 1 <= found.cpus <= os.cpu_count()
    assert isinstance(found.writable_tmp, bool)


@pytest.mark.parametrize(("place", "expected"), [("", True), ("missing", False)])
def test_the_directory_for_temporary_files_is_tried(place, expected, tmp_path):
    """One that is not there cannot be written."""
    assert expected == probe_system(str(tmp_path / place)).writable_tmp


def test_this_user_is_looked_up():
    """The effective ids and the entry of the user database."""
    found = probe_user()
    assert (found.uid, found.gid) == (os.geteuid(), os.getegid())


def test_a_file_that_cannot_be_read_is_empty(tmp_path):
    """Absence is a fact."""
    assert read_text(str(tmp_path / "missing")) == ""


@pytest.mark.parametrize(
    ("name", "shell", "expected"),
    [
        ("u", "/bin/bash", True),
        ("u", "", True),
        ("u", "/sbin/nologin", False),
        ("u", "/bin/false", False),
        (None, None, False),
    ],
)
def test_a_user_can_log_in_with_an_entry_and_a_shell(name, shell, expected):
    """What sshd would say."""
    assert expected == UserFacts(1, 1, name, "/", shell).can_log_in


def put_key(directory, name="id_rsa", text=PEM, mode=0o600):
    """Write a key and return its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(text)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o444])
def test_a_given_directory_is_taken_with_its_keys_mode(mode, tmp_path):
    """MPIJOB_SSH_DIR decides; owner and mode are noted."""
    path = put_key(tmp_path / "k", mode=mode)
    found = find_key(given=f"{tmp_path}/k", home=None, mounts="")
    expected = KeyFacts(path, f"{tmp_path}/k", os.geteuid(), mode, True)  # noqa: FBT003
    assert expected == found


@pytest.mark.parametrize("name", ["id_rsa", "id_ecdsa", "ssh-privatekey", "identity"])
def test_every_usual_name_of_a_key_is_found(name, tmp_path):
    """Operators and people name keys differently."""
    path = put_key(tmp_path / ".ssh", name)
    assert find_key(given=None, home=str(tmp_path), mounts="").path == path


@pytest.mark.parametrize("text", ["", "ssh-rsa AAAA\n", "PuTTY-User-Key-File-3\n"])
def test_a_file_that_is_no_private_key_is_passed_over(text, tmp_path):
    """A public key under a private key's name is none."""
    put_key(tmp_path / "k", "id_rsa", text)
    wanted = put_key(tmp_path / "k", "id_ecdsa")
    assert find_key(given=f"{tmp_path}/k", home=None, mounts="").path == wanted


def test_a_given_directory_without_a_key_ends_the_search(tmp_path):
    """Who names a directory does not want a key from elsewhere."""
    put_key(tmp_path / ".ssh")
    assert find_key(given=f"{tmp_path}/empty", home=str(tmp_path), mounts="") is None


def test_the_home_comes_before_the_mounts(tmp_path):
    """~/.ssh is asked first."""
    wanted = put_key(tmp_path / ".ssh")
    put_key(tmp_path / "m")
    mounts = f"tmpfs {tmp_path}/m tmpfs ro 0 0\n"
    assert find_key(given=None, home=str(tmp_path), mounts=mounts).path == wanted


@pytest.mark.parametrize(("name", "shown"), [("auth", "auth"), ("my keys", r"my\040keys")])
def test_a_key_mounted_anywhere_is_found_by_the_mount_table(name, shown, tmp_path):
    """The operator mounts the secret at any path that the user chose."""
    wanted = put_key(tmp_path / name)
    mounts = f"overlay / overlay rw 0 0\ntmpfs {tmp_path}/{shown} tmpfs ro,relatime 0 0\n"
    assert find_key(given=None, home=None, mounts=mounts).path == wanted


def test_the_likelier_mount_is_asked_first(tmp_path):
    """Of two mounts the one with ssh in its name comes first."""
    put_key(tmp_path / "data")
    wanted = put_key(tmp_path / "ssh-auth")
    mounts = "".join(f"tmpfs {tmp_path}/{name} tmpfs ro 0 0\n" for name in ("data", "ssh-auth"))
    assert find_key(given=None, home=None, mounts=mounts).path == wanted


@pytest.mark.parametrize("mounts", ["", "\n", "odd\n", "proc /proc proc rw 0 0\n"])
def test_no_key_anywhere_is_nothing(mounts, tmp_path):
    """Absence is a fact, and odd lines in the mount table are passed over."""
    found = find_key(given=None, home=str(tmp_path), mounts=mounts)
    assert found is None or found.directory == "/root/.ssh"


AS_NOBODY = """
import dataclasses, json, os, sys
from mpijob_runtime.probes.keys import find_key
given, home, mounts = json.loads(sys.argv[1])
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
found = find_key(given=given, home=home, mounts=mounts)
print(json.dumps(found and dataclasses.asdict(found)))
"""


def find_as_nobody(given=None, home=None, mounts=""):
    """Return what find_key sees as a user without rights."""
    argv = [sys.executable, "-c", AS_NOBODY, json.dumps([given, home, mounts])]
    environ = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    answer = subprocess.run(argv, capture_output=True, text=True, check=True, env=environ)
    return json.loads(answer.stdout)


@pytest.fixture
def open_path(tmp_path):
    """Return a directory that every user can walk to."""
    for path in (tmp_path, *list(tmp_path.parents)[:2]):
        if path.stat().st_uid == os.geteuid() and str(path) != "/tmp":
            path.chmod(path.stat().st_mode | 0o055)
    return tmp_path


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@needs_root
def test_a_key_of_root_is_found_but_not_readable_for_others(open_path):
    """The kubelet's 0600 file of root: seen with owner and mode, not readable."""
    put_key(open_path / "k", mode=0o600)
    found = find_as_nobody(given=f"{open_path}/k")
    assert (found["readable"], found["owner"], found["mode"]) == (False, 0, 0o600)


@needs_root
@pytest.mark.parametrize("mode", [0o644, 0o444])
def test_a_key_that_others_can_read_is_readable(mode, open_path):
    """Modes that ssh itself would refuse are fine for a copy."""
    put_key(open_path / "k", mode=mode)
    assert find_as_nobody(given=f"{open_path}/k")["readable"]


@needs_root
def test_a_closed_directory_counts_if_something_is_mounted_there(open_path):
    """Then the key exists, and the directory is why it is out of reach."""
    put_key(open_path / "ssh")
    (open_path / "ssh").chmod(0o700)
    found = find_as_nobody(mounts=f"tmpfs {open_path}/ssh tmpfs ro 0 0\n")
    assert (found["directory"], found["readable"]) == (f"{open_path}/ssh", False)
    assert (found["owner"], found["mode"]) == (None, None)


@needs_root
def test_a_closed_directory_that_is_no_mount_is_passed_over(open_path):
    """/root/.ssh of the base image is none of the job's."""
    put_key(open_path / "home" / ".ssh")
    (open_path / "home" / ".ssh").chmod(0o700)
    wanted = put_key(open_path / "m", mode=0o644)
    mounts = f"tmpfs {open_path}/m tmpfs ro 0 0\n"
    assert find_as_nobody(home=f"{open_path}/home", mounts=mounts)["path"] == wanted


def test_a_container_is_probed_as_a_whole(make_program, tmp_path):
    """All facts come together, by the settings' paths."""
    mpirun = make_program("bin", "mpirun", "#!/bin/sh\necho 'mpirun (Open MPI) 4.1.4'\n")
    wrapper = make_program("bin", "rank", "#!/bin/sh\n")
    key = put_key(tmp_path / "k")
    environ = {
        "PATH": f"{tmp_path}/bin",
        "MPIJOB_SSH_DIR": f"{tmp_path}/k",
        "MPIJOB_RANK_WRAPPER": wrapper,
    }
    found = probe_container(Settings.from_environ(environ))
    assert found.mpi == MpiFacts("Open MPI", "4.1.4", mpirun)
    assert found.key.path == key
    assert found.rank_wrapper == wrapper


@pytest.mark.parametrize("wrapper", ["", "/nowhere/rank", "/etc/passwd"])
def test_a_wrapper_that_cannot_run_is_none(wrapper):
    """Without the wrapper ranks run all the same."""
    environ = {"PATH": "/nowhere", "MPIJOB_RANK_WRAPPER": wrapper}
    assert probe_container(Settings.from_environ(environ)).rank_wrapper is None


def interfaces(*names):
    """Return interfaces with an address each."""
    return [InterfaceFacts(n, 1500, None, (f"10.{i}.0.1/16",)) for i, n in enumerate(names)]


@pytest.mark.parametrize(
    ("names", "address", "expected"),
    [
        (["eth0", "net1"], "10.1.0.1", "net1"),
        (["eth0", "net1"], "127.0.1.1", None),
        (["eth0"], "10.0.0.1", None),
        ([], "10.0.0.1", None),
    ],
)
def test_daemons_use_the_interface_of_the_hosts_own_name(names, address, expected, monkeypatch):
    """Of several; a name that resolves to loopback tells nothing."""
    monkeypatch.setattr(container.socket, "gethostbyname", lambda _name: address)
    assert container._control_interface(interfaces(*names)) == expected


def test_a_name_that_does_not_resolve_decides_nothing(monkeypatch):
    """A launcher may start before the name service knows it."""

    def fail(_name):
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr(container.socket, "gethostbyname", fail)
    assert container._control_interface(interfaces("eth0", "net1")) is None
