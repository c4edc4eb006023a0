import pytest

from mpijob_runtime.mpirun_spelling import respell
from mpijob_runtime.mpirun_words import asks_for_no_launch, explain_failure, own_code, time_limit

# what mpirun ended with, what it said, generation -> our code, words; as 4.1.4 and 5.0.11 did it
FAILURES = [
    (135, "Working directory: /no/dir\nNode: w1.job.svc\n", 4, 78, "no working directory /no/dir"),
    (181, "", 5, 78, "no such working directory"),
    (1, "There are not enough slots available in the system", 4, 64, "more ranks were asked for"),
    (213, "There are not enough slots available in the system", 5, 64, "more ranks were asked for"),
    (1, '/usr/bin/mpirun: Error: unknown option "--nosuch"\n', 4, 64, "its option --nosuch"),
    (
        213,
        "unrecognized option was included on the line:\n\n  Option: --no\n",
        5,
        64,
        "option --no",
    ),
    (1, 'Error: option "-n" did not have enough parameters (1)', 4, 64, "what its options ask for"),
    (213, "The specified mapby directive is not recognized:", 5, 64, "what its options ask for"),
    (243, "Unable to locate the variable file:\n /no/such", 5, 64, "what its options ask for"),
    (250, "PRTE was unable to open the hostfile:\n /no", 5, 64, "what its options ask for"),
    (255, "CANNOT ACCESS FILE /no/such", 5, 64, "what its options ask for"),
    (213, "", 5, 64, "does not take its options"),
]


@pytest.mark.parametrize(("code", "said", "major", "expected", "words"), FAILURES)
def test_mpiruns_own_codes_have_a_meaning(code, said, major, expected, words):
    """None of them looks like a signal, and none is called worth a retry."""
    why = explain_failure(code, said, (), major=major)
    assert why is not None
    assert why.exit_code == expected
    assert words in str(why)
    assert "\n  next: " in str(why)


def test_what_nobody_knows_is_left_unexplained():
    """Its own words are above; its code is none of a shell's."""
    assert explain_failure(250, "something else", (), major=5) is None
    assert [own_code(code) for code in (1, 66, 125, 135, 213, 250, 255, 0)] == [1, 66, 125] + 5 * [
        1
    ]


# generation, a line like those of public manifests of Kubeflow, Horovod, nccl-tests and SageMaker,
# and the right spelling of each word that is refused
LINES = [
    (
        5,
        "-np 2 -bind-to none -map-by slot -x A -mca pml ob1 python a.py",
        ["--bind-to none", "--map-by slot"],
    ),
    (5, "--allow-run-as-root -np 4 -bind-to socket hostname", ["--bind-to socket"]),
    (5, "-np 2 --map-by ppr:8:node --bind-to numa --tag-output all_reduce_perf", []),
    (5, "-mca btl ^openib -x PATH -allow-run-as-root -np 2 a", []),
    (5, "-rf /tmp/rf -quiet -n 1 a", ["--rankfile /tmp/rf", ""]),
    (
        4,
        "--output tag,file=/o --display map a",
        ["--tag-output --output-filename /o", "--display-map"],
    ),
    (4, "--prtemca plm ssh --np=2 a", ["--mca plm ssh", "--np 2"]),
    (
        4,
        "--map-by ppr:2:package --bind-to package a",
        ["--map-by ppr:2:socket", "--bind-to socket"],
    ),
    (4, "--with-ft ulfm a", [""]),
    (4, "-bind-to none -map-by slot -np 2 a -bind-to", []),
]


@pytest.mark.parametrize(("major", "line", "expected"), LINES)
def test_the_other_generations_spelling_is_told_with_the_right_one(major, line, expected):
    """Each word that this generation refuses, measured with 4.1.4 and 5.0.11; and no other."""
    assert [right for _, right in respell(line.split(), major=major)] == expected


def test_a_wrong_spelling_is_the_reason_whatever_mpirun_says():
    """5.0 takes ``none`` of ``-bind-to none`` for the program and ends with 66."""
    said = "   Node:       w0\n   Executable: none\n"
    why = explain_failure(66, said, ["-bind-to", "none", "-quiet", "a"], major=5)
    assert why is not None
    assert why.exit_code == 64
    assert why.remedy == "write --bind-to none for -bind-to none; leave out -quiet"


@pytest.mark.parametrize(
    ("line", "major", "expected"),
    [
        ("--do-not-launch -n 2 a", 4, True),
        ("--runtime-options donotlaunch a", 5, True),
        ("-n 2 a --do-not-launch", 5, False),
    ],
)
def test_a_line_that_is_to_start_nothing_is_known(line, major, expected):
    """Then mpirun's 0 without a rank is a success."""
    assert asks_for_no_launch(line.split(), major=major) is expected


def test_the_users_own_time_limit_is_told():
    """4.1 ends with 110 for it, 5.0.11 with 241: the words are the same."""
    said = (
        "The user-provided time limit for job execution has been reached:\n\n  Timeout: 3 seconds"
    )
    assert time_limit(said) == "the time limit of 3 s was reached (--timeout)"
    assert time_limit("else") is None
