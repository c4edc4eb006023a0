"""Which module may import what, read from the sources."""

import ast
import pathlib
import sys

import pytest

import mpijob_runtime

ROOT = pathlib.Path(mpijob_runtime.__file__).parent

# From the bottom up. A module imports from its own row (no circles) and the rows above it here.
LAYERS = (
    {
        "__init__",
        "early",
        "lists",
        "noise",
        "errors",
        "carried",
        "facts",
        "operators",
        "console",
        "frames",
        "frame_reader",
        "masking",
        "cpu_lists",
        "fact_json",
        "values",
        "bug_guard",
        "refusal",
    },
    {"training"},
    {
        "hosts",
        "host_formats",
        "clocks",
        "records",
        "run_dir",
        "settings",
        "defaults",
        "last_words",
        "passed_lines",
        "processes",
        "cgroups",
        "data_network",
        "gpu_driver",
        "gpu_table",
        "host_facts",
        "interfaces",
        "job_hosts",
        "numa",
        "rdma",
        "container_environ",
        "first_process",
    },
    {
        "horovodrun",
        "machine",
        "private_files",
        "attempts",
        "mpirun_errors",
        "rank",
        "rsh",
    },
    {"mpirun_line", "rank_stdin"},
    {"keep_going", "mpirun_output", "mpirun_spelling"},
    {"mpirun_words"},
    {
        "bind_to",
        "environ",
        "mpirun",
        "outcome",
        "output",
        "rank_logs",
        "agent",
        "supervise",
        "probes",
    },
    {"observation", "open_mpi_end"},
    {"ssh_files", "spread", "diagnose", "differences", "stacks", "report", "credentials"},
    {"outermost"},
    {"binding", "gpu_differences", "host_differences", "nccl_log"},
    {"rank_environ"},
    {"user_entry", "readiness", "daemons", "watch", "worker_watch"},
    {"plan", "preemption", "stall", "nccl_watch", "host_key", "advice", "survey", "gate"},
    {"crew", "run", "ssh_access", "worker"},
    {"launch", "probe_hosts", "ssh_client"},
    {"discovery"},
    {"shims", "cli"},
    {"__main__"},
)
ROW = {name: row for row, names in enumerate(LAYERS) for name in names}

PURE = {
    "__init__",
    "advice",
    "agent.grace",
    "bind_to",
    "binding",
    "carried",
    "clocks",
    "data_network",
    "cpu_lists",
    "defaults",
    "diagnose",
    "differences",
    "environ",
    "errors",
    "fact_json",
    "facts",
    "frame_reader",
    "frames",
    "host_differences",
    "host_facts",
    "gpu_differences",
    "gpu_table",
    "host_formats",
    "hosts",
    "job_hosts",
    "keep_going",
    "last_words",
    "lists",
    "masking",
    "mpirun",
    "mpirun_line",
    "mpirun_output",
    "mpirun_spelling",
    "mpirun_words",
    "nccl_log",
    "noise",
    "observation",
    "open_mpi_end",
    "operators",
    "outcome",
    "plan",
    "rank_environ",
    "records",
    "refusal",
    "settings",
    "spread",
    "ssh_files",
    "stacks",
    "training.learning_rate",
    "training.param_groups",
    "user_entry",
    "values",
}
EFFECTS = {"os", "subprocess", "time", "socket", "threading", "pathlib", "shutil", "tempfile"}

# Which single module or folder may import a third-party package.
HOMES = {
    "paramiko": "probes.ssh",
    "cryptography": "probes.host_certificate",
    "psutil": "probes.system",
    "click": "cli",
    "pynvml": "probes.gpu",
    "horovod": "horovodrun",  # only in images that have it
    "torch": "training",
    "prometheus_client": "training.prometheus",
}


def modules():
    """Yield the dotted name (without the package) and the syntax tree of each module."""
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        yield name, ast.parse(path.read_text(encoding="utf-8"))


def imports(tree):
    """Return every module that is imported anywhere in a tree, as dotted names."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.module == "mpijob_runtime":
                found |= {f"mpijob_runtime.{alias.name}" for alias in node.names}
            else:
                found.add(node.module)
    return found


def own(tree):
    """Return the top-level names of our own modules that a tree imports."""
    ours = {name.split(".")[1] for name in imports(tree) if name.startswith("mpijob_runtime.")}
    return {"__init__" if name == "__version__" else name for name in ours}


MODULES = dict(modules())


def test_every_module_has_a_layer():
    """A new module must be put into the picture."""
    assert {name.split(".")[0] for name in MODULES} == ROW.keys()


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_down_only(name):
    """No module imports from a layer above its own."""
    row = ROW[name.split(".")[0]]
    upward = {found for found in own(MODULES[name]) if ROW[found] > row}
    assert not upward


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("training")])
def test_training_stands_on_errors_alone(name):
    """User code imports it: nothing of the launcher comes with it."""
    assert own(MODULES[name]) <= {"training", "errors", "carried"}


def test_no_modules_import_in_a_circle():
    """Modules of one layer may know each other in one direction only."""
    edges = {}
    for name, tree in MODULES.items():
        top = name.split(".")[0]
        edges.setdefault(top, set()).update(own(tree) - {top})
    settled = set()
    while leaves := {name for name in edges.keys() - settled if edges[name] <= settled}:
        settled |= leaves
    assert not edges.keys() - settled


@pytest.mark.parametrize("name", sorted(PURE))
def test_pure_modules_touch_nothing(name):
    """Neither files, processes, clocks, networks nor threads."""
    top = {found.split(".")[0] for found in imports(MODULES[name])}
    assert not top & EFFECTS
    third = top - set(sys.stdlib_module_names) - {"mpijob_runtime"}
    assert not third


@pytest.mark.parametrize("name", sorted(PURE))
def test_pure_modules_import_pure_modules_only(name):
    """Purity is not lost by way of another module."""
    assert own(MODULES[name]) <= PURE | {name.split(".")[0]}


@pytest.mark.parametrize("name", MODULES)
def test_docstrings_and_the_list_agree_on_who_is_pure(name):
    """A module that says that it is pure is checked, and each checked one says so."""
    docstring = ast.get_docstring(MODULES[name]) or ""
    says = "Layer: pure" in docstring or "Layer: bottom" in docstring
    assert says == (name in PURE - {"__init__"})


@pytest.mark.parametrize("package", HOMES)
def test_a_third_party_package_has_one_home(package):
    """One module or folder hides each third-party package from all others."""
    home = HOMES[package]
    users = {
        name
        for name, tree in MODULES.items()
        if package in {found.split(".")[0] for found in imports(tree)}
    }
    assert all(name == home or name.startswith(f"{home}.") for name in users)


def test_there_are_no_other_third_party_packages():
    """The launcher needs no more than these; torch, horovod and mpi4py belong to the images."""
    found = {name.split(".")[0] for tree in MODULES.values() for name in imports(tree)}
    assert found - set(sys.stdlib_module_names) - {"mpijob_runtime"} <= HOMES.keys()


@pytest.mark.parametrize(
    "name", ["settings", "run_dir", "rank", "agent.begin", "shims", "launch", "worker"]
)
def test_the_listed_modules_exist(name):
    """The tests above would pass on an empty package."""
    assert name in MODULES


@pytest.mark.parametrize("name", MODULES)
def test_the_environment_is_read_in_few_places(name):
    """Only entry points touch os.environ; all else takes a mapping."""
    readers = {
        "__main__",
        "cli",
        "cli.groups",
        "rank",
        "rsh",
        "ssh_client",
        "agent.begin",
        "agent.stacks",
        "shims",
        "cli.options",
    }
    readers |= {"training.world"}
    touches = any(
        isinstance(node, ast.Attribute)
        and node.attr in ("environ", "getenv")
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
        for node in ast.walk(MODULES[name])
    )
    assert not touches or name in readers
