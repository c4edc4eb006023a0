"""Metrics of a rank: what is written, when, and what goes wrong without ending a training."""

import errno
import json
import logging
import math
import os
import socket
import sys
import time
import urllib.request

import pytest

from mpijob_runtime.errors import ConfigurationError
from mpijob_runtime.training.metrics import Metrics
from mpijob_runtime.training.places import Places, places
from mpijob_runtime.training.step_lines import Step, StepLines, format_step

RANK_1 = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
KEYS = [
    *("step", "time", "step_seconds", "samples", "samples_per_second", "loss"),
    *("rank", "world_size", "host", "job", "attempt"),
]


class HandMadeTensor:
    """Stands in for torch's: counts when its number is asked for, which would wait for a GPU."""

    def __init__(self, number):
        self.number, self.read, self.detached = number, 0, False

    def detach(self):
        """Note that it was asked for."""
        self.detached = True
        return self

    def __float__(self):
        self.read += 1
        return self.number


@pytest.fixture
def lines(tmp_path):
    """Return a function that reads what rank 1 has written so far."""

    def read():
        text = (tmp_path / "metrics-rank-1.jsonl").read_text(encoding="utf-8")
        return [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]

    return read


@pytest.fixture
def free_port():
    """Return a port that nobody has at the moment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def make(directory, **options):
    """Return metrics of rank 1 that write JSON lines."""
    return Metrics(directory=str(directory), environ=RANK_1, **options)


def test_each_step_is_one_object_with_the_documented_keys(tmp_path, lines):
    """Benchmarks rely on names, order and types."""
    environ = RANK_1 | {"MPIJOB_JOB_NAME": 'a"b', "OMPI_MPIJOB_ATTEMPT": "x1"}
    with Metrics(directory=str(tmp_path), environ=environ) as metrics:
        metrics.step(7, samples=32, loss=0.5)
        metrics.step(8, samples=32)

    first, second = lines()
    assert list(first) == list(second) == KEYS
    fixed = {k: first[k] for k in ("step", "samples", "loss", "rank", "world_size", "job")}
    assert fixed == {
        "step": 7,
        "samples": 32,
        "loss": 0.5,
        "rank": 1,
        "world_size": 2,
        "job": 'a"b',
    }
    assert (first["host"], first["attempt"]) == (os.uname().nodename, "x1")
    assert second["loss"] is None
    assert second["time"] - first["time"] == pytest.approx(second["step_seconds"], abs=0.05)


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf, None])
def test_what_json_has_no_number_for_is_null(loss):
    """A strict reader must be able to read each line."""
    line = format_step(Step(1, 2.0, 0.5, 4, loss))

    assert json.loads(line, parse_constant=pytest.fail)["loss"] is None


def test_a_step_without_time_has_no_rate():
    """Two steps at the same tick of the clock are no division by zero."""
    assert json.loads(format_step(Step(1, 2.0, 0.0, 4, 1.0)))["samples_per_second"] is None


def test_the_rate_is_samples_over_seconds():
    """The unit of what benchmarks compare."""
    assert json.loads(format_step(Step(1, 2.0, 0.25, 8, 1.0)))["samples_per_second"] == 32


def test_a_tensor_is_read_when_lines_are_written_and_not_before(tmp_path, lines):
    """To read it is to wait for the GPU; the first step is written at once, later ones not."""
    tensors = [HandMadeTensor(float(n)) for n in range(4)]
    metrics = make(tmp_path, flush_seconds=3600)
    for step, tensor in enumerate(tensors):
        metrics.step(step, samples=1, loss=tensor)

    assert [tensor.read for tensor in tensors] == [1, 0, 0, 0]
    assert all(tensor.detached for tensor in tensors)
    metrics.close()
    assert [line["loss"] for line in lines()] == [0.0, 1.0, 2.0, 3.0]


def test_steps_are_written_once_their_time_has_come(tmp_path, lines):
    """Nobody has to close metrics in order to see how the training goes."""
    metrics = make(tmp_path, flush_seconds=0)
    for step in range(3):
        metrics.step(step, samples=1)

    assert [line["step"] for line in lines()] == [0, 1, 2]
    metrics.close()


def test_a_second_run_appends(tmp_path, lines):
    """A resumed job goes on in the same file."""
    for step in (1, 2):
        with make(tmp_path) as metrics:
            metrics.step(step, samples=1)

    assert [line["step"] for line in lines()] == [1, 2]


def test_an_evaluation_is_no_part_of_the_next_step(tmp_path, lines, monkeypatch):
    """start() begins the step's clock anew."""
    clock = iter([0.0, 100.0, 101.0, 102.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    metrics = make(tmp_path)
    metrics.start()
    metrics.step(1, samples=3)
    monkeypatch.undo()
    metrics.close()

    assert [line["step_seconds"] for line in lines()] == [1.0]


def test_nothing_is_written_unless_asked_for(tmp_path, monkeypatch):
    """No variable, no argument: no file."""
    monkeypatch.chdir(tmp_path)
    with Metrics(environ={}) as metrics:
        metrics.step(1, samples=1, loss=1.0)

    assert not list(tmp_path.iterdir())


def test_the_step_is_where_the_stall_watch_reads_it(tmp_path, monkeypatch):
    """A shorter number leaves nothing of a longer one; steps in quick succession are left out."""
    path, now = tmp_path / "step", time.perf_counter()
    with Metrics(environ={"MPIJOB_PROGRESS_FILE": str(path)}) as metrics:
        found = []
        for step, later in ((1000, 0.0), (1001, 0.05), (7, 0.2)):
            monkeypatch.setattr("time.perf_counter", lambda at=now + later: at)
            metrics.step(step, samples=1)
            found.append(path.read_text().strip())

    assert found == ["1000", "1000", "7"]


def test_a_progress_file_that_cannot_be_had_is_a_warning(tmp_path, caplog):
    """The launcher names the file, not the user: training goes on without it."""
    with Metrics(environ={"MPIJOB_PROGRESS_FILE": f"{tmp_path}/none/step"}) as metrics:
        metrics.step(1, samples=1)

    assert "cannot write the step's number: No such file or directory" in caplog.text


@pytest.mark.parametrize("option", ["directory", "textfile_directory"])
def test_a_directory_that_cannot_be_had_is_an_error_at_the_start(option, tmp_path):
    """Before hours of training, not after them."""
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match="cannot write: Not a directory"):
        Metrics(**{option: f"{tmp_path}/file/below"}, environ=RANK_1)


def test_a_full_disk_is_an_error_at_the_start():
    """/dev/full takes an open and refuses the first byte."""
    with pytest.raises(ConfigurationError, match="No space left on device"):
        StepLines("/dev/full", {})


def test_a_disk_that_becomes_full_is_one_warning_and_leaves_whole_lines(
    tmp_path, lines, caplog, monkeypatch
):
    """Hand-made: every write takes half of its data, then there is no space; later there is."""
    metrics = make(tmp_path, flush_seconds=0)
    metrics.step(1, samples=1)
    real, left = os.write, [True, False, True, False]

    def half(descriptor, data):
        if not left.pop(0):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data[: len(data) // 2])

    monkeypatch.setattr("os.write", half)
    metrics.step(2, samples=1)
    metrics.step(3, samples=1)
    monkeypatch.undo()
    metrics.step(4, samples=1)
    metrics.close()

    assert [line["step"] for line in lines()] == [1, 4]
    assert caplog.text.count("No space left") == 1


@pytest.mark.parametrize(
    ("loss", "words"), [("x", "wanted one number"), (math.nan, "the loss of step 1 is nan")]
)
def test_an_odd_loss_is_said_once(loss, words, tmp_path, caplog):
    """It is the user's to judge, and no reason to end."""
    with make(tmp_path) as metrics:
        for step in (1, 2):
            metrics.step(step, samples=1, loss=loss)

    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert words in caplog.text


def test_closing_twice_is_closing(tmp_path, lines):
    """A context and an exit handler may both do it."""
    metrics = make(tmp_path)
    metrics.step(1, samples=1)
    metrics.close()
    metrics.close()

    assert len(lines()) == 1


def test_a_textfile_has_the_rank_the_host_and_the_job(tmp_path):
    """node_exporter reads whole files named .prom only."""
    with Metrics(textfile_directory=str(tmp_path), job="ddp", environ=RANK_1) as metrics:
        metrics.step(1, samples=30, loss=2.0)
        metrics.step(2, samples=34, loss=1.5)

    [path] = tmp_path.iterdir()
    assert path.name == "mpijob-ddp-rank-1.prom"
    labels = f'{{host="{os.uname().nodename}",job="ddp",rank="1"}}'
    text = path.read_text(encoding="utf-8")
    for sample in ("samples_total", "step", "loss", "step_seconds_count"):
        assert f"mpijob_training_{sample}{labels} " in text
    assert f"mpijob_training_samples_total{labels} 64.0" in text
    assert f"mpijob_training_loss{labels} 1.5" in text


def test_a_textfile_is_replaced_only_every_few_seconds(tmp_path, monkeypatch):
    """Files are not written at each flush."""
    metrics = Metrics(textfile_directory=str(tmp_path), flush_seconds=0, environ=RANK_1)
    [path] = tmp_path.iterdir()
    before = path.stat().st_ino
    metrics.step(1, samples=1)
    assert path.stat().st_ino == before
    now = time.monotonic()
    monkeypatch.setattr("time.monotonic", lambda: now + 6)
    metrics.step(2, samples=1)
    assert path.stat().st_ino != before
    metrics.close()


def test_local_ranks_serve_on_ports_of_their_own(free_port):
    """Local rank 1 listens beside local rank 0, until it closes."""
    metrics = Metrics(port=free_port - 1, environ=RANK_1)
    metrics.step(1, samples=3)
    with urllib.request.urlopen(f"http://127.0.0.1:{free_port}/metrics") as answer:
        assert b"mpijob_training_samples_total" in answer.read()
    with pytest.raises(ConfigurationError, match=f"port {free_port}: cannot listen"):
        Metrics(port=free_port - 1, environ=RANK_1)
    metrics.close()


def test_a_missing_prometheus_client_is_said_at_the_start(tmp_path, monkeypatch):
    """It belongs to the torch image only."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    with pytest.raises(ConfigurationError, match="prometheus_client is not installed"):
        Metrics(textfile_directory=str(tmp_path), environ=RANK_1)


@pytest.mark.parametrize("port", ["0", "x", "65536", "-1", "1" * 5000, "٣"])
def test_a_port_that_is_none_is_refused(port):
    """The message names the variable."""
    with pytest.raises(ConfigurationError, match="MPIJOB_METRICS_PORT: found"):
        places({"MPIJOB_METRICS_PORT": port})


def test_variables_ask_for_the_same_as_arguments():
    """Users set them in the manifest; an empty one asks for nothing."""
    told = {"DIR": "/m", "TEXTFILE_DIR": "/t", "PORT": "9400"}
    environ = {f"MPIJOB_METRICS_{name}": value for name, value in told.items()}

    found = places(environ | {"MPIJOB_JOB_NAME": "j"})

    expected = Places(metrics_dir="/m", metrics_textfile_dir="/t", metrics_port=9400, job="j")
    assert found == expected
    assert places(dict.fromkeys(environ, "")) == Places()
