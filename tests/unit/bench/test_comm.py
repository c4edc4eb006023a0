import json

import numpy as np
import pytest
from bench_stand_in import put_program
from nccl_tests_files import OLD_TEXT

from mpijob_bench.cli import main
from mpijob_bench.comm.bandwidth import COLLECTIVES, busbw_factor, steps
from mpijob_bench.comm.document import parse_comm, read_comm, write_comm
from mpijob_bench.comm.fit import NotFittedError, fit
from mpijob_bench.comm.options import Sweep, comm_program, sweep_sizes
from mpijob_bench.comm.remaining import Remaining
from mpijob_bench.comm.summary import Summary, typical_seconds
from mpijob_bench.comm.table import comm_table, notes
from mpijob_bench.errors import ResultError
from mpijob_bench.launches import Line

SIZES = [1 << power for power in range(10, 27, 2)]


def told(rank, size, seconds, *, in_a_row=1.0, wrong=0, collective="all_reduce"):
    """Return a rank's line; four ranks are on two hosts."""
    facts = {"collective": collective, "bytes": size, "wrong_elements": wrong}
    facts |= {"seconds": seconds, "in_a_row_seconds": in_a_row}
    return Line(rank, f"worker-{rank // 2}", {"bench": "collective", **facts})


def began(ranks=4, sizes=SIZES):
    """Return rank 0's line before the first collective."""
    facts = {"sizes": sizes, "ranks": ranks, "memory_bytes": 1 << 30, "device": "cpu"}
    return Line(0, "worker-0", {"bench": "sweep", **facts})


def summary(lines, **options):
    """Return the document of lines, of four ranks."""
    taken = Summary()
    for line in [began(), *lines]:
        taken.take(line)
    return taken.document(backend="gloo", max_bytes=1 << 20, **({"fidelity": "measured"} | options))


@pytest.mark.parametrize(
    ("collective", "factor"),
    [
        ("all_reduce", 1.75),
        ("all_gather", 0.875),
        ("reduce_scatter", 0.875),
        ("broadcast", 1.0),
        ("all_to_all", 0.875),
    ],
)
def test_factors_are_those_of_nccl_tests(collective, factor):
    """PERFORMANCE.md's table, for eight ranks."""
    assert busbw_factor(collective, 8) == factor


def test_an_iteration_takes_as_long_as_its_slowest_rank():
    """Not the mean over ranks; each rank keeps its own median; wrong elements add up.

    Bandwidths are of iterations in a row.
    """
    lines = [
        told(0, 1000, [1.0, 5.0, 3.0], wrong=2),
        told(1, 1000, [2.0, 1.0, 4.0], in_a_row=4.0),
        told(3, 1000, [1.0, 1.0, 1.0]),
        told(2, 1000, [1.0, 1.0, 6.0], wrong=1),
    ]
    comm = summary(lines)
    row = comm["results"][0]
    assert (row["seconds"]["min"], row["seconds"]["p50"], row["seconds"]["max"]) == (2, 5, 6)
    assert row["in_a_row_seconds"] == 4.0
    assert row["algbw_bytes_per_second"] == 250.0
    assert row["busbw_bytes_per_second"] == 375.0
    assert row["rank_p50_seconds"] == [3.0, 2.0, 1.0, 1.0]
    assert row["iteration_seconds"] == [2.0, 5.0, 6.0]
    assert (row["wrong_elements"], row["iterations"]) == (3, 3)
    assert (comm["nodes"], comm["ranks"], comm["hosts"]) == (2, 4, ["worker-0", "worker-1"])


def test_a_size_that_a_rank_did_not_finish_is_left_out():
    """A job that broke off gives no time that looks like one."""
    lines = [told(rank, 64, [1.0]) for rank in range(4)] + [told(0, 128, [1.0])]
    assert [row["bytes"] for row in summary(lines)["results"]] == [64]


def test_what_a_backend_lacks_is_a_fact():
    """It stands in the document and in the words for people."""
    line = Line(0, "w", {"bench": "unsupported", "collective": "all_to_all", "reason": "none"})
    comm = summary([line, *(told(rank, 64, [1.0]) for rank in range(4))])
    assert comm["unsupported"] == {"all_to_all": "none"}
    assert "all_to_all: not supported by this backend (none)" in notes(comm)


@pytest.mark.parametrize("collective", COLLECTIVES)
@pytest.mark.parametrize("ranks", [2, 3, 8])
def test_a_fit_finds_the_alpha_and_the_bandwidth_that_made_the_times(collective, ranks):
    """Exactly without noise."""
    alpha, bandwidth = 40e-6, 2.6e9
    moved = busbw_factor(collective, ranks) * np.array(SIZES)
    seconds = steps(collective, ranks) * alpha + moved / bandwidth
    found = fit(collective, ranks, SIZES, seconds)
    assert found.alpha_seconds == pytest.approx(alpha)
    assert found.bandwidth_bytes_per_second == pytest.approx(bandwidth)
    assert (found.r2, found.residual) == (pytest.approx(1.0), pytest.approx(0.0, abs=1e-9))
    assert found.seconds(collective, ranks, SIZES[3]) == pytest.approx(seconds[3])


def test_a_fit_of_noisy_times_is_near_and_says_how_far():
    """5 % of noise: both within a tenth, and the residual is of the noise's size."""
    random = np.random.default_rng(1)
    exact = 14 * 1e-3 + 1.75 * np.array(SIZES) / 25e6
    noisy = exact * random.lognormal(0, 0.05, len(SIZES))
    found = fit("all_reduce", 8, SIZES, noisy)
    assert found.alpha_seconds == pytest.approx(1e-3, rel=0.1)
    assert found.bandwidth_bytes_per_second == pytest.approx(25e6, rel=0.1)
    assert 0.01 < found.residual < 0.2
    assert 0.98 < found.r2 < 1


@pytest.mark.parametrize(
    ("ranks", "sizes", "seconds", "word"),
    [
        (8, [1, 2], [1, 2], "found 2 sizes"),
        (8, [1, 2, 2], [1, 2, 2], "found 2 sizes"),
        (1, [1, 2, 3], [1, 2, 3], "one rank"),
        (8, [1, 2, 3], [3, 2, 1], "do not grow"),
    ],
)
def test_what_cannot_be_fitted_is_refused(ranks, sizes, seconds, word):
    """No bandwidth is better than an invented one."""
    with pytest.raises(NotFittedError, match=word):
        fit("all_reduce", ranks, sizes, seconds)


@pytest.mark.parametrize(
    ("known", "seconds"),
    [({"in_a_row_seconds": 1.0}, 1.0), ({}, 2.0), ({"seconds": {"p50": None, "mean": 3.0}}, 3.0)],
)
def test_what_an_iteration_takes(known, seconds):
    """In a row, as a training step has them; the median where only single ones are known."""
    assert typical_seconds({"seconds": {"p50": 2.0, "mean": 2.5}, **known}) == seconds


def test_a_sweep_without_a_fit_says_why():
    """In the document, and that document is valid."""
    lines = [told(rank, size, [1.0]) for size in (64, 128) for rank in range(4)]
    comm = summary(lines)
    assert comm["fits"] == {}
    assert "wanted at least 3" in comm["not_fitted"]["all_reduce"]
    assert parse_comm(json.dumps(comm).encode()) == comm


@pytest.mark.parametrize(
    ("ranks", "max_bytes", "sizes"),
    [
        (8, 1 << 14, [1024, 4096, 16384]),
        (3, 1 << 13, [1020, 4092, 8184]),
        (1000, 1 << 13, [4000, 8000]),
        (8, 100_000, [1024, 4096, 16384, 65536, 100_000]),
        (8, 512, []),
    ],
)
def test_sizes_are_whole_floats_for_each_rank(ranks, max_bytes, sizes):
    """And never more than memory allows, but for one float each."""
    assert sweep_sizes(Sweep(), max_bytes=max_bytes, ranks=ranks) == sizes


def test_the_program_is_told_everything():
    """Its own parser is tested in tests/bench, where torch is."""
    argv = comm_program(Sweep(collectives=("broadcast",), max_bytes=5000, corrupt=True))
    assert argv[:3] == ("python", "-m", "mpijob_bench.ranks.collectives")
    assert "broadcast" in argv
    assert "5000" in argv
    assert argv[-1] == "--corrupt"


def test_the_time_left_follows_the_larger_sizes():
    """Known after three sizes; 10 MB/s from the last two, so 1 and 4 MB take 0.1 s and 0.4 s."""
    sweep = Sweep(collectives=("all_reduce",), warmup=1, min_iterations=4, budget_seconds=0.1)
    remaining = Remaining(sweep, [62_500, 125_000, 250_000, 1_000_000, 4_000_000])
    for size in remaining.sizes[:3]:
        assert remaining.seconds() is None
        remaining.note(size, size / 10e6)
    # one to warm up, four by themselves, one that is not timed and four in a row
    assert remaining.seconds() == pytest.approx(10 * 0.1 + 10 * 0.4)


def test_what_is_written_is_read_again_and_unknown_keys_stay(tmp_path):
    """The table has a row for each result."""
    comm = summary([told(rank, 64, [1.0]) for rank in range(4)]) | {"note": "mine"}
    path = str(tmp_path / "comm.json")
    write_comm(path, comm)
    assert read_comm(path) == comm
    assert comm_table(comm).row_count == 1


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"schema": "comm/2"}, "'comm/1'"),
        ({"backend": "ucx"}, "gloo"),
        ({"ranks": 0}, "at least 1"),
        ({"fits": {"all_reduce": {"alpha_seconds": 1}}}, "bandwidth_bytes_per_second"),
        ({"nodes": float("nan")}, "finite"),
    ],
)
def test_a_wrong_document_is_neither_written_nor_read(changes, word, tmp_path):
    """With the place of what is wrong."""
    comm = summary([told(rank, 64, [1.0]) for rank in range(4)]) | changes
    with pytest.raises(ResultError, match=word):
        write_comm(str(tmp_path / "comm.json"), comm)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (["--max-bytes", "many"], "found size 'many'"),
        (["--min-bytes", "0"], "above 0"),
        (["--min-bytes", "1MiB", "--max-bytes", "1KiB"], "--min-bytes"),
        (["--out", "/proc/none"], "--out /proc/none"),
    ],
)
def test_a_wrong_option_is_refused_before_a_launch(argv, word, tmp_path, monkeypatch, capsys):
    """64 and words."""
    monkeypatch.chdir(tmp_path)
    assert main(["comm", *argv]) == 64
    err = capsys.readouterr().err
    assert word in err
    assert "Traceback" not in err


def test_a_sweep_that_was_not_launched_leaves_an_earlier_one(tmp_path, monkeypatch, capsys):
    """Every iteration of it is still there."""
    out = tmp_path / "results"
    out.mkdir()
    put_program(tmp_path, monkeypatch, "#!/bin/sh\nexit 69\n")
    (out / "comm.jsonl").write_text("{}\n")
    assert main(["comm", "--out", str(out)]) == 69
    assert (out / "comm.jsonl").read_text() == "{}\n"
    assert not list(out.glob("*.part"))


def test_an_import_does_not_replace_what_was_measured(tmp_path, capsys):
    """Its iterations would stand beside a table of others."""
    (tmp_path / "nccl.txt").write_text(OLD_TEXT)
    (tmp_path / "comm.jsonl").write_text("{}\n")
    argv = ["comm", "--import", str(tmp_path / "nccl.txt"), "--collective", "all_reduce"]
    assert main([*argv, "--out", str(tmp_path)]) == 64
    assert "another --out" in capsys.readouterr().err
    assert not (tmp_path / "comm.json").exists()
    assert main([*argv, "--out", str(tmp_path / "new")]) == 0
    assert read_comm(str(tmp_path / "new" / "comm.json"))["ranks"] == 2
