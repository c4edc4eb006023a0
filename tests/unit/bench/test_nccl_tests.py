import json

import nccl_tests_files as files
import pytest

from mpijob_bench.cli import main
from mpijob_bench.comm.document import parse_comm, read_comm
from mpijob_bench.comm.nccl_tests import import_nccl_tests
from mpijob_bench.errors import ResultError


@pytest.mark.parametrize("version", [1, 2, 3])
def test_json_of_each_version_is_read(version):
    """Times become seconds, bandwidths come from them, and the document follows its schema."""
    comm = import_nccl_tests(files.as_bytes(version))
    parse_comm(json.dumps(comm).encode())
    assert (comm["nodes"], comm["ranks"], comm["hosts"]) == (2, 2, ["gpu-0", "gpu-1"])
    row = comm["results"][0]
    assert (row["collective"], row["bytes"], row["wrong_elements"]) == ("all_reduce", 1024, 0)
    assert row["seconds"]["mean"] == pytest.approx(10.1024e-6)
    assert row["busbw_bytes_per_second"] == pytest.approx(1024 / 10.1024e-6)  # 2 ranks: factor 1
    assert comm["fits"]["all_reduce"]["bandwidth_bytes_per_second"] == pytest.approx(1e10)


def test_the_environment_is_not_kept():
    """Its list may carry secrets."""
    assert files.SECRET in files.as_bytes().decode()
    assert files.SECRET not in json.dumps(import_nccl_tests(files.as_bytes()))


def test_each_process_has_as_many_ranks_as_gpus():
    """config.devices has the first GPU of a process only."""
    assert import_nccl_tests(files.as_bytes(ngpus=4))["ranks"] == 8


def test_iterations_are_taken_where_they_are_told():
    """-I: the distribution without the skipped, and each process's median."""
    more = files.per_iteration([90.0, 20.0, 10.0, 30.0], [[90, 20, 10, 30], [9, 8, 7, 6]])
    rows = [files.result(4096, 20.0, 2, out_of_place_per_iter=more)]
    row = import_nccl_tests(files.as_bytes(results=rows))["results"][0]
    assert row["iterations"] == 3
    assert row["seconds"]["p50"] == pytest.approx(20e-6)
    assert row["seconds"]["max"] == pytest.approx(30e-6)
    assert row["rank_p50_seconds"] == pytest.approx([20e-6, 7e-6])


def test_in_place_is_taken_where_it_is_all():
    """Trace replay leaves out-of-place as null."""
    rows = [files.result(4096, 20.0, 2, out_of_place=None)]
    assert import_nccl_tests(files.as_bytes(results=rows))["results"][0]["placement"] == "in_place"


@pytest.mark.parametrize("prefix", ["", "[1,0]<stdout>:", "[0 worker-0] "])
def test_text_is_read_with_and_without_a_launchers_prefix(prefix):
    """Rows of 0 bytes are left out; wrong elements are counted."""
    text = "".join(f"{prefix}{line}\n" for line in files.TEXT.splitlines())
    comm = import_nccl_tests(text.encode())
    parse_comm(json.dumps(comm).encode())
    assert (comm["ranks"], comm["nodes"], comm["device"]) == (4, 2, "NVIDIA H100 80GB HBM3")
    assert [row["bytes"] for row in comm["results"]] == [1024, 16384, 262144, 1048576]
    assert [row["wrong_elements"] for row in comm["results"]] == [0, 2, 0, 0]
    assert {row["collective"] for row in comm["results"]} == {"all_to_all"}
    assert comm["results"][3]["seconds"]["mean"] == pytest.approx(131.07e-6)


def test_text_of_old_versions_needs_the_name():
    """It does not say which test it was; its error column is no count."""
    with pytest.raises(ResultError, match="--collective"):
        import_nccl_tests(files.OLD_TEXT.encode())
    comm = import_nccl_tests(files.OLD_TEXT.encode(), collective="all_reduce")
    assert [row["wrong_elements"] for row in comm["results"]] == [None] * 3
    assert comm["results"][0]["algbw_bytes_per_second"] == pytest.approx(1e10, rel=1e-3)


def test_text_that_failed_without_saying_where_is_refused():
    """Versions without a count of wrong elements have one word for all."""
    text = files.OLD_TEXT.replace("0 OK", "3 FAILED").encode()
    with pytest.raises(ResultError, match="Out of bounds values"):
        import_nccl_tests(text, collective="all_reduce")


def broken(**changes):
    """Return a file with one row, changed."""
    return files.as_bytes(results=[files.result(4096, 20.0, 2, **changes)])


BAD = {
    "version 4": (files.as_bytes(4), "version: found 4, wanted 1, 2 or 3"),
    "cut off": (files.as_bytes()[:-20], "JSON, all of it"),
    "another test": (files.as_bytes(program="sendrecv_perf"), "args[0]"),
    "no rows": (files.as_bytes(results=[]), "no row above 0 bytes"),
    "nan time": (
        broken(out_of_place={"time": "nan", "alg_bw": "nan", "bus_bw": 1}),
        "results[0].out_of_place.time: found 'nan'",
    ),
    "no time": (broken(out_of_place={"alg_bw": 1.0}), "results[0].out_of_place.time"),
    "CPU time": (broken(out_of_place={"cpu_time": 1.0}), "CPU time"),
    "size as text": (broken(size="4096"), "results[0].size"),
    "half and float": (
        files.as_bytes(results=[files.result(64, 1.0, 2), files.result(64, 1.0, 2, type="half")]),
        "one type",
    ),
    "other ranks": (
        files.as_bytes(results=[files.result(1 << 20, 20.0, 2, factor=1.75)]),
        "busbw / algbw = 1.75",
    ),
    "a list": (b"[]", "no collective's name"),
    "empty": (b"", "no collective's name"),
    "binary": (b"\x93NUMPY\xff\x00", "no collective's name"),
    "no devices": (files.TEXT.replace("Rank", "Rang").encode(), "a line for each rank"),
    "half a row": (files.TEXT.replace("8.00    6.00", "8.00    bad").encode(), ":18:"),
    "two tests": ((files.TEXT * 2).encode(), "2 tests"),
}


@pytest.mark.parametrize(("data", "word"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_refused_with_its_place(data, word, tmp_path, capsys):
    """65 and words, never a traceback; nothing is written."""
    path = tmp_path / "nccl.out"
    path.write_bytes(data)
    assert main(["comm", "--import", str(path), "--out", str(tmp_path / "out")]) == 65
    err = capsys.readouterr().err
    assert word in err
    assert "Traceback" not in err
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(("data", "code"), [(files.as_bytes(), 0), (files.TEXT.encode(), 1)])
def test_the_command_writes_and_shows_an_import(data, code, tmp_path, capsys):
    """comm.json, a table, and 1 if elements were wrong."""
    path = tmp_path / "nccl.out"
    path.write_bytes(data)
    assert main(["comm", "--import", str(path), "--out", str(tmp_path)]) == code
    assert "busbw" in capsys.readouterr().out
    assert read_comm(str(tmp_path / "comm.json"))["source"]["tool"] == "nccl-tests"
