"""What nccl-tests has measured, in the form ``comm/1``.

Its JSON (``-J FILE``, versions 1 to 3) and its text are understood, as github.com/NVIDIA/nccl-tests
writes them in src/util.cu: booleans are strings, a number can be the string "nan". Its JSON holds
the whole environment of the job, secrets included: nothing of that is kept.

Layer: reads a file; imports the two formats below and documents.
"""

from typing import Any

from mpijob_bench.comm.bandwidth import busbw_factor
from mpijob_bench.comm.nccl_tests_json import parse_nccl_json
from mpijob_bench.comm.nccl_tests_run import NcclRow, NcclRun, wrong
from mpijob_bench.comm.nccl_tests_text import parse_nccl_text
from mpijob_bench.comm.summary import (
    SCHEMA,
    Comm,
    bandwidths,
    distribution,
    fit_all,
    typical_seconds,
)
from mpijob_bench.documents import read_bytes
from mpijob_runtime.errors import Problem

_ALIKE = 0.02  # nccl-tests prints three to five digits


def read_nccl_tests(
    path: str, *, collective: str | None = None, fidelity: str = "measured"
) -> Comm:
    """Return what a file of nccl-tests says.

    Args:
        path: of its JSON or of its text.
        collective: which one it was; only for text of versions that do not say so.
        fidelity: what the file cannot tell.

    Raises:
        ResultError: if it cannot be read or is neither; with what was found and wanted.
    """
    data = read_bytes(path, wanted="output of nccl-tests", remedy="give the output of one test")
    return import_nccl_tests(data, path=path, collective=collective) | {"fidelity": fidelity}


def import_nccl_tests(
    data: bytes, *, path: str = "nccl-tests", collective: str | None = None
) -> Comm:
    """Return what nccl-tests wrote; see read_nccl_tests."""
    if data.lstrip()[:1] == b"{":
        run = parse_nccl_json(data, path=path)
    else:
        run = parse_nccl_text(data.decode(errors="replace"), path=path, collective=collective)
    _check_ranks(run, path)
    return _document(run)


def _check_ranks(run: NcclRun, path: str) -> None:
    """Refuse a number of ranks that nccl-tests' own bandwidths contradict."""
    factor = busbw_factor(run.collective, run.ranks)
    for row in run.rows:
        if (
            row.algbw
            and row.busbw
            and row.algbw > 1
            and abs(row.busbw / row.algbw - factor) > _ALIKE
        ):
            found = f"busbw / algbw = {row.busbw / row.algbw:.4g} at {row.bytes} bytes"
            wanted = f"{factor:.4g}, which is {run.collective} on {run.ranks} ranks"
            raise wrong(path, [Problem(0, found, wanted, "busbw")])


def _document(run: NcclRun) -> Comm:
    results = [_result(run, row) for row in run.rows]
    fits, refused = fit_all(results, run.ranks)
    return {
        "schema": SCHEMA,
        "fidelity": "measured",
        "backend": "nccl",
        "nodes": len(run.hosts),
        "ranks": run.ranks,
        "hosts": list(run.hosts),
        "device": run.device,
        "source": {"tool": "nccl-tests", "format": run.form},
        "results": results,
        "fits": fits,
        "not_fitted": refused,
    }


def _result(run: NcclRun, row: NcclRow) -> dict[str, Any]:
    unknown = dict.fromkeys(("min", "p50", "p90", "p99", "max"))
    seconds: dict[str, Any] = {**unknown, "mean": row.seconds}
    if row.iteration_seconds:
        seconds = dict(distribution(row.iteration_seconds))
    typical = typical_seconds({"seconds": seconds})
    return {
        "collective": run.collective,
        "bytes": row.bytes,
        "iterations": len(row.iteration_seconds) or row.iterations,
        "wrong_elements": row.wrong_elements,
        "seconds": seconds,
        **bandwidths(run.collective, run.ranks, row.bytes, typical),
        "rank_p50_seconds": list(row.rank_p50_seconds),
        "placement": row.placement,
        "type": row.type,
    }
