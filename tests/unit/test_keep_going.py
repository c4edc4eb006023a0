import subprocess
import sys

import pytest

from mpijob_runtime.keep_going import keeps_going

ASKS = [
    "--enable-recovery",
    "-enable-recovery",
    "--continuous",
    "--max-restarts 1",
    "--with-ft ulfm",
    "--mca orte_abort_on_non_zero_status 0",
    "-mca orte_abort_on_non_zero_status false",
    "--gmca orte_enable_recovery 1",
    "--mca orte_max_restarts 3",
    "--prtemca state_base_error_non_zero_exit 0",
    "--mca state_base_recoverable t",
    "--runtime-options error-nonzero-status=0",
    "--rtos show-progress,ERROR=false",
    "--rtos=recoverable",
    "--rtos cont=1",
]

DOES_NOT = [
    "",
    "--mca orte_abort_on_non_zero_status 1",
    "--mca orte_enable_recovery 0",
    "--mca orte_max_restarts 0",
    "--mca btl_tcp_continuous 1",
    "--rtos error-nonzero-status",
    "--rtos recoverable=0",
    "--rtos notifyerrors",
    "--rtos ,",
    "-x CONTINUOUS=1",
    "-x continuous",
    "--hostfile /recover/continuous",
    "--wdir continuous",
]

PROGRAMS = [
    "python train.py --recover-from ckpt --continuous",
    "./continuous --enable-recovery --rtos recoverable",
    "recover --mca orte_enable_recovery 1",
]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    ("options", "expected"), [*((o, True) for o in ASKS), *((o, False) for o in DOES_NOT)]
)
@pytest.mark.parametrize(
    "before", ["-n 2 --oversubscribe", "--mca btl tcp,self -x A=1 -np 2 --tag-output"]
)
def test_only_mpiruns_own_words_let_a_job_go_on(options, expected, program, before):
    """What stands after the program's name is the program's, whatever it looks like."""
    assert keeps_going(f"{before} {options} {program}".split(), {}, major=5) is expected


@pytest.mark.parametrize("line", ["", "-n", "--mca", "--mca orte_enable_recovery", "--rtos", "-"])
def test_a_line_that_is_cut_off_asks_for_nothing(line):
    """Open MPI complains about it; we only ask."""
    assert not keeps_going(line.split(), {}, major=5)


def test_a_second_program_has_options_of_its_own():
    """``a : --enable-recovery b`` are two contexts of one job."""
    first = ("-n", "1", "a", "--x", ":", "-n", "1")
    assert keeps_going((*first, "--enable-recovery", "b"), {}, major=4)
    assert not keeps_going((*first, "b", "--enable-recovery"), {}, major=4)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"OMPI_MCA_orte_abort_on_non_zero_status": "0"}, True),
        ({"OMPI_MCA_orte_abort_on_non_zero_status": "1"}, False),
        ({"OMPI_MCA_orte_enable_recovery": "yes"}, True),
        ({"PRTE_MCA_state_base_error_non_zero_exit": "false"}, True),
        ({"PRTE_MCA_state_base_error_non_zero_exit": "true"}, False),
        ({"CONTINUOUS": "1", "RECOVERY_DIR": "/recover", "continuous": "recover"}, False),
        ({"OMPI_MCA_btl_tcp_recover": "1"}, False),
    ],
)
def test_variables_that_mpirun_reads_count_and_no_others(environ, expected):
    """A user's own variables say nothing about mpirun."""
    assert keeps_going((), environ, major=4) is expected


IN_A_HURRY = """
import sys
from mpijob_runtime import run
from mpijob_runtime.__main__ import run as main
run._AFTER_FAILURE_SECONDS = 0.5
main()
"""
ONE_FAILS = '[ $RANK = 1 ] || exit 3; sleep 2; : > "$0"'


@pytest.mark.parametrize(
    ("environ", "goes_on"),
    [
        ({"RECOVERY_DIR": "/continuous/recover"}, False),
        ({"OMPI_MCA_orte_abort_on_non_zero_status": "0"}, True),
    ],
    ids=["a user's own words", "mpirun's"],
)
def test_a_job_is_ended_after_a_failure_unless_mpirun_was_asked(
    environ, goes_on, local_mpi, tmp_path
):
    """A mpirun that waits for the other ranks is ended soon, whatever the program's words are."""
    argv = ("launch", "--grace", "1", "--host", "localhost:2", "--", "sh", "-c", ONE_FAILS)
    done = subprocess.run(
        [sys.executable, "-c", IN_A_HURRY, *argv, tmp_path / "late", "recover", "--continuous"],
        env=local_mpi | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=40,
    )
    assert done.returncode == 3, done.stderr
    assert (tmp_path / "late").exists() == goes_on
