import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mpijob_runtime.probes.nccl import decode_version, probe_nccl
from mpijob_runtime.probes.nccl_maps import loaded_libraries, parse_maps

FAKE = "int ncclGetVersion(int *code) {{ *code = {code}; return 0; }}\n"  # hand-made
LIBRARY = "nvidia/nccl/lib/libnccl.so.2"


@pytest.fixture
def compile_library(tmp_path):
    """Return a function that makes a shared library of C."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc here")

    def build(place, source):
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        argv = ("gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(path))
        subprocess.run(argv, input=source, text=True, check=True)
        return path

    return build


@pytest.fixture
def compile_nccl(compile_library):
    """Return a function that makes a libnccl of a version."""
    return lambda place, code: compile_library(place, FAKE.format(code=code))


def probe(path=None, **environ):
    """Ask as a program with this environment would see it."""
    basis = {"PATH": os.environ["PATH"]}
    return probe_nccl(basis | environ, python=sys.executable, path=path)


@pytest.mark.parametrize(
    ("code", "version"),
    [
        (2402, "2.4.2"),
        (2708, "2.7.8"),
        (2804, "2.8.4"),
        (20902, "2.9.2"),
        (21005, "2.10.5"),
        (22907, "2.29.7"),
        (30000, "3.0.0"),
    ],
)
def test_codes_of_both_styles_are_decoded(code, version):
    """To 2.8 by thousands, later by ten thousands."""
    assert decode_version(code) == version


def test_maps_show_libnccl_and_no_plugin():
    """Once for each file, whatever its many parts; a replaced file without the kernel's remark."""
    line = "7f00-7f01 r-xp 00000000 fe:01 123   "
    text = f"""\
{line}/opt/venv/lib/python3.11/site-packages/nvidia/nccl/lib/libnccl.so.2
{line}/opt/venv/lib/python3.11/site-packages/nvidia/nccl/lib/libnccl.so.2
{line}/opt/amazon/lib/libnccl-net.so
{line}/usr/lib/libnccl.so.2.18.3 (deleted)
{line}/data/libnccl.so.2/weights with a space
7f00-7f01 rw-p 00000000 00:00 0 libnccl.so
"""
    assert parse_maps(text) == (
        "/opt/venv/lib/python3.11/site-packages/nvidia/nccl/lib/libnccl.so.2",
        "/usr/lib/libnccl.so.2.18.3",
    )
    assert parse_maps("") == ()


def test_a_container_without_nccl_has_none(tmp_path):
    """Absence is a fact."""
    if os.path.exists("/usr/lib/x86_64-linux-gnu/libnccl.so.2"):
        pytest.skip("this machine has a libnccl")
    assert probe(PYTHONPATH=str(tmp_path)) is None


def test_the_python_package_is_found_before_what_the_linker_finds(compile_nccl, tmp_path):
    """The wheels of torch have DT_RPATH to it, which comes before LD_LIBRARY_PATH."""
    package = compile_nccl(f"packages/{LIBRARY}", 22907)
    other = compile_nccl("system/libnccl.so.2", 21803)
    found = probe(LD_LIBRARY_PATH=str(other.parent), PYTHONPATH=str(tmp_path / "packages"))
    assert (found.path, found.version, found.found_by) == (str(package), "2.29.7", "Python package")
    found = probe(LD_LIBRARY_PATH=str(other.parent))
    assert (found.path, found.version, found.found_by) == (str(other), "2.18.3", "dynamic linker")


def test_a_preloaded_library_comes_before_all(compile_nccl, tmp_path):
    """It is what torch gets, whatever its own package is."""
    compile_nccl(f"packages/{LIBRARY}", 22907)
    other = compile_nccl("own/libnccl.so.2.21.5", 22105)
    preload = f"{other}:/nonexistent/libx.so"
    found = probe(LD_PRELOAD=preload, PYTHONPATH=str(tmp_path / "packages"))
    assert (found.path, found.version, found.found_by) == (str(other), "2.21.5", "LD_PRELOAD")


def test_a_link_is_followed(compile_nccl, tmp_path):
    """What counts is the file."""
    library = compile_nccl("lib/libnccl.so.2.18.3", 21803)
    (tmp_path / "lib/libnccl.so.2").symlink_to(library)
    assert probe(LD_LIBRARY_PATH=str(tmp_path / "lib")).path == str(library)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("int other;", "undefined symbol: ncclGetVersion"),
        ("__attribute__((constructor)) void f(void) { __builtin_trap(); }", "it ends the process"),
        ("void missing(void); void f(void) { missing(); }", "undefined symbol"),
    ],
    ids=["no function", "crashes", "cannot be linked"],
)
def test_a_library_that_does_not_work_is_a_problem_in_words(source, problem, compile_library):
    """Loaded by a child, so that a crash is only the child's."""
    library = compile_library("libnccl.so.2", source)
    found = probe(str(library))
    assert found.version is None
    assert problem in found.problem


def test_a_broken_library_on_the_linkers_path_is_not_silence(tmp_path):
    """It is there, and a program that needs it would fail."""
    (tmp_path / "libnccl.so.2").write_text("not a library")
    found = probe(LD_LIBRARY_PATH=str(tmp_path))
    assert found.version is None
    assert "libnccl.so.2" in found.problem


def test_a_library_that_takes_forever_is_given_up(compile_library):
    """The time is the caller's."""
    source = "#include <unistd.h>\n__attribute__((constructor)) void f(void) { sleep(60); }"
    library = compile_library("libnccl.so.2", source)
    found = probe_nccl({}, python=sys.executable, path=str(library), timeout_seconds=1.0)
    assert found.problem == "loading it took more than 1 s"


def test_without_a_python_that_is_said():
    """The program's Python may not exist."""
    found = probe_nccl({}, python="/nonexistent/python3")
    assert found.problem == "/nonexistent/python3: No such file or directory"


def test_a_running_process_shows_the_library_that_it_has_loaded(compile_nccl):
    """By its maps; the file is then asked for exactly its version."""
    library = compile_nccl("lib/libnccl.so.2", 22203)
    code = f"import ctypes; ctypes.CDLL({str(library)!r}); print('x', flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        child.stdout.readline()
        (path,) = loaded_libraries(child.pid)
    finally:
        child.communicate(b"\n")
    assert path == str(library)
    assert probe(path).version == "2.22.3"
    assert loaded_libraries(child.pid) == ()


def test_nvidias_own_library_tells_its_version_without_a_gpu():
    """The real one, where NCCL_PACKAGE names an unpacked nvidia-nccl wheel (CONTRIBUTING.md)."""
    folder = Path(os.environ.get("NCCL_PACKAGE", "/nonexistent"))
    if not (folder / LIBRARY).exists():
        pytest.skip("NCCL_PACKAGE names no folder with nvidia/nccl/lib/libnccl.so.2")
    (metadata,) = folder.glob("nvidia_nccl_cu*.dist-info")
    found = probe(PYTHONPATH=str(folder))
    assert found.version == metadata.name.removesuffix(".dist-info").partition("-")[2]
    assert found.path == str((folder / LIBRARY).resolve())
