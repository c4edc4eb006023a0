import os
import subprocess
import sys

import pytest

from mpijob_runtime.errors import ConfigurationError, WorldError
from mpijob_runtime.training import World, world

OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "5",
    "OMPI_COMM_WORLD_SIZE": "8",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
    "OMPI_COMM_WORLD_NODE_RANK": "3",
    "PMIX_RANK": "5",
}
"""As Open MPI 4.1.4 and 5.0.11 set them (recorded, numbers changed)."""

TORCH = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
LAUNCHER = {"MPIJOB_HOSTS": "w-0,w-1,w-2,w-3", "MPIJOB_NODE_RANK": "2", "MPIJOB_GPU": "1"}
HYDRA = {"PMI_RANK": "5", "PMI_SIZE": "8", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"}
SLURM = {
    "SLURM_PROCID": "5",
    "SLURM_NTASKS": "8",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "2",
    "SLURM_STEP_TASKS_PER_NODE": "2(x4)",
}
BATCH = {"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
ELASTIC = {**TORCH, "GROUP_RANK": "2", "TORCHELASTIC_RUN_ID": "none"}
"""Hydra's, Slurm's and torchrun's are hand-made from their documents."""

ALONE = World(0, 1, 0, 1, node_rank=0, hosts=(), launcher="none")


def fifth_of_eight(launcher, node_rank):
    """Return the world of all the examples above."""
    return World(5, 8, 1, 2, node_rank=node_rank, hosts=(), launcher=launcher)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ALONE),
        (OPEN_MPI, fifth_of_eight("openmpi", None)),
        ({**OPEN_MPI, **TORCH}, fifth_of_eight("openmpi", None)),
        (HYDRA, fifth_of_eight("hydra", None)),
        ({**HYDRA, **TORCH}, fifth_of_eight("hydra", None)),
        (TORCH, fifth_of_eight("torch", None)),
        (SLURM, fifth_of_eight("slurm", 2)),
        (ELASTIC, fifth_of_eight("torchrun", 2)),
    ],
    ids=["none", "openmpi", "openmpi+torch", "hydra", "hydra+torch", "torch", "slurm", "torchrun"],
)
def test_each_launcher_is_understood(environ, expected):
    """The same rank is found from each launcher's own variables."""
    assert world(environ) == expected


def test_the_launcher_adds_what_mpi_does_not_say():
    """Hosts, the host's index and the GPU come from mpijob-runtime launch."""
    found = world({**OPEN_MPI, **LAUNCHER, "MASTER_ADDR": "w-0", "MASTER_PORT": "29500"})
    assert (found.hosts, found.node_rank) == (("w-0", "w-1", "w-2", "w-3"), 2)
    assert (found.gpu, found.master) == (1, True)


def test_all_ranks_on_one_host_are_on_the_first():
    """Where as many ranks are local as there are, there is one host."""
    here = {"OMPI_COMM_WORLD_LOCAL_RANK": "5", "OMPI_COMM_WORLD_LOCAL_SIZE": "8"}
    assert world({**OPEN_MPI, **here}).node_rank == 0


@pytest.mark.parametrize(
    ("outer", "inner", "launcher"),
    [
        ({**SLURM, "SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"}, OPEN_MPI, "openmpi"),
        (BATCH, OPEN_MPI, "openmpi"),
        (BATCH, HYDRA, "hydra"),
        ({**SLURM, "SLURM_PROCID": "1"}, TORCH, "torch"),
        ({**OPEN_MPI, "OMPI_COMM_WORLD_RANK": "1"}, ELASTIC, "torchrun"),
        ({**SLURM, "SLURM_PROCID": "1"}, ELASTIC, "torchrun"),
        ({"PMI_RANK": "5", "PMI_SIZE": "8"}, SLURM, "slurm"),
        ({"PMIX_RANK": "5"}, SLURM, "slurm"),
    ],
)
def test_the_nearest_launcher_counts(outer, inner, launcher):
    """What surrounds a launcher (an allocation, an mpirun once a node) is no contradiction."""
    found = world({**outer, **inner})
    assert (found.rank, found.size, found.launcher) == (5, 8, launcher)


def test_a_batch_script_is_one_process():
    """Only srun starts tasks: python in an sbatch script is alone, whatever SLURM_NTASKS says."""
    assert world(BATCH) == ALONE


@pytest.mark.parametrize(
    ("tasks", "node", "expected"),
    [("2(x4)", "3", 2), ("4,2(x2)", "0", 4), ("4,2(x2)", "2", 2), ("1(x2),6", "2", 6)],
)
def test_slurm_tells_the_tasks_of_each_node(tasks, node, expected):
    """Its list is shortened where nodes are alike."""
    environ = {**SLURM, "SLURM_STEP_TASKS_PER_NODE": tasks, "SLURM_NODEID": node}
    environ["SLURM_LOCALID"] = "0"
    assert world(environ).local_size == expected


def test_a_world_of_one_needs_no_local_rank():
    """Kubernetes operators set RANK and WORLD_SIZE alone."""
    found = world({"RANK": "0", "WORLD_SIZE": "1"})
    assert (found.size, found.local_rank, found.local_size, found.launcher) == (1, 0, 1, "torch")


@pytest.mark.parametrize(
    ("environ", "shown"),
    [
        ({**OPEN_MPI, **TORCH, "RANK": "3"}, ["RANK='3'", "OMPI_COMM_WORLD_RANK='5'"]),
        ({**OPEN_MPI, "WORLD_SIZE": "4"}, ["WORLD_SIZE='4'", "OMPI_COMM_WORLD_SIZE='8'"]),
        ({**HYDRA, **TORCH, "LOCAL_RANK": "0"}, ["LOCAL_RANK='0'", "MPI_LOCALRANKID='1'"]),
        ({**OPEN_MPI, "PMIX_RANK": "4"}, ["PMIX_RANK='4'", "OMPI_COMM_WORLD_RANK='5'"]),
        ({**TORCH, "RANK": "8"}, ["RANK='8'", "WORLD_SIZE='8'"]),
        ({**TORCH, "LOCAL_RANK": "2"}, ["LOCAL_RANK='2'", "LOCAL_WORLD_SIZE='2'"]),
        ({**TORCH, "LOCAL_WORLD_SIZE": "9"}, ["LOCAL_WORLD_SIZE='9'", "WORLD_SIZE='8'"]),
        ({**TORCH, "RANK": "0"}, ["LOCAL_RANK='1'", "RANK='0'"]),
        ({**TORCH, "WORLD_SIZE": "0"}, ["RANK='5'", "WORLD_SIZE='0'"]),
        ({**OPEN_MPI, **LAUNCHER, "MPIJOB_NODE_RANK": "4"}, ["NODE_RANK='4'", "HOSTS='w-0"]),
        ({**SLURM, "SLURM_NODEID": "4"}, ["SLURM_NODEID='4'", "TASKS_PER_NODE='2(x4)'"]),
        ({**SLURM, "SLURM_STEP_TASKS_PER_NODE": "two"}, ["TASKS_PER_NODE='two'", "4(x2),3"]),
        ({**TORCH, "RANK": "five"}, ["RANK='five'", "whole number"]),
        ({**TORCH, "RANK": "-1"}, ["RANK='-1'", "whole number"]),
        ({**TORCH, "RANK": ""}, ["RANK=''", "whole number"]),
        ({**TORCH, "RANK": "9" * 5000}, ["RANK=", "whole number"]),
        ({**OPEN_MPI, "MPIJOB_GPU": "GPU-1"}, ["MPIJOB_GPU='GPU-1'", "whole number"]),
        ({"RANK": "5", "WORLD_SIZE": "8"}, ["RANK='5' and WORLD_SIZE='8'", "LOCAL_RANK"]),
        ({"WORLD_SIZE": "8"}, ["WORLD_SIZE='8'", "wanted RANK"]),
        ({"OMPI_COMM_WORLD_SIZE": "8"}, ["SIZE='8'", "wanted OMPI_COMM_WORLD_RANK"]),
        ({"PMI_RANK": "5", "PMI_SIZE": "8"}, ["PMI_RANK='5'", "wanted MPI_LOCALRANKID"]),
        ({"PMIX_RANK": "5"}, ["PMIX_RANK='5'", "number of ranks", "WORLD_SIZE"]),
    ],
)
def test_contradictions_are_shown(environ, shown):
    """The error has the names and values of what cannot be."""
    with pytest.raises(WorldError) as caught:
        world(environ)
    assert all(part in str(caught.value) for part in shown)
    assert len(str(caught.value)) < 500


def test_the_error_is_a_value_error_and_ours():
    """User code may catch ValueError; our commands end with 78."""
    assert issubclass(WorldError, ValueError)
    assert issubclass(WorldError, ConfigurationError)


def test_without_a_mapping_the_environment_is_read(monkeypatch):
    """world() is for user code."""
    for name in [*OPEN_MPI, *TORCH, *HYDRA, *SLURM, *ELASTIC, *LAUNCHER]:
        monkeypatch.delenv(name, raising=False)
    for name, value in TORCH.items():
        monkeypatch.setenv(name, value)
    assert world().rank == 5


def test_importing_training_imports_no_torch():
    """A program that only asks for its rank does not wait for torch."""
    program = """
import sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "click", "paramiko", "psutil"):
            raise SystemExit(f"{name} was imported")
sys.meta_path.insert(0, Refused())
from mpijob_runtime import training
from mpijob_runtime.training import scale_learning_rate, world
import mpijob_runtime.training.world
assert callable(training.world) and training.world is world
"""
    environ = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
    run = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
