"""``make faults``: does every fault many times and shows what came of it."""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from faults.catalogue import FAULTS
from faults.model import Fault, Result
from faults.page import write_page
from faults.results import ResultsFile
from faults.show import table
from faults.trial import Bench, Case, Trial
from mpijob_local.machine import podman_for
from mpijob_local.settings import LocalSettings
from mpijob_local.signals import Interrupted, interruptible

_VERSIONS = ("4.1", "5.0")


@click.command()
@click.option("--times", default=1, show_default=True, help="How often each fault is done.")
@click.option("--first", default=0, help="Number of the first run; repeats its random moment.")
@click.option(
    "--fault",
    "chosen",
    multiple=True,
    type=click.Choice([fault.name for fault in FAULTS]),
    help="Only this fault; repeatable.",
)
@click.option(
    "--open-mpi", multiple=True, type=click.Choice(_VERSIONS), help="Only this generation."
)
@click.option(
    "--image",
    default="mpijob-runtime:runtime-ompi{open_mpi}",
    show_default=True,
    help="Image of all pods.",
)
@click.option("--bare", is_flag=True, help="Plain mpirun instead of ours, for comparison.")
@click.option("--out", type=click.Path(path_type=Path), help="File for results, a line each.")
@click.option("--resume", is_flag=True, help="Skip what is in the file already.")
@click.option("--write", type=click.Path(path_type=Path), help="Write the page with the table.")
def main(  # noqa: PLR0913 - an argument for each option
    *,
    times: int,
    first: int,
    chosen: tuple[str, ...],
    open_mpi: tuple[str, ...],
    image: str,
    bare: bool,
    out: Path | None,
    resume: bool,
    write: Path | None,
) -> None:
    """Do faults to small jobs; end with 1 if one went wrong."""
    console = Console(stderr=True)
    wanted = open_mpi or _VERSIONS
    images = {version: image.format(open_mpi=version) for version in wanted}
    with tempfile.TemporaryDirectory() as scratch:
        bench = _bench(Path(scratch), images)
        file = ResultsFile(out or Path(scratch) / "results.jsonl")
        known = [it for it in file.read() if resume and _counts(it, bench)]
        cases = list(_cases(range(first, first + times), chosen, wanted, bare=bare))
        done = {result.key for result in known}
        results = known + _run([it for it in cases if it.key not in done], bench, file, console)
    keys = {case.key for case in cases}
    shown = [result for result in results if result.key in keys]
    Console().print(table(shown))
    if write is not None:
        write_page(write, results)
    sys.exit(any(result.wrong for result in shown) and not bare)


def _cases(
    runs: range, chosen: tuple[str, ...], versions: tuple[str, ...], *, bare: bool
) -> Iterator[Case]:
    """Yield all trials, each fault once before any is done again."""
    for run in runs:
        for fault in FAULTS:
            if (not chosen or fault.name in chosen) and (fault.bare or not bare):
                yield from (Case(fault, version, bare, run) for version in versions)


def _bench(scratch: Path, images: dict[str, str]) -> Bench:
    settings = LocalSettings.from_environ(os.environ)
    podman, _ = podman_for(settings)
    ids = podman.run("image", "inspect", "--format={{.Id}}", *images.values()).stdout.split()
    of_names = dict(zip(images.values(), ids, strict=True))
    return Bench(podman, settings.home, scratch, images, of_names)


def _counts(result: Result, bench: Bench) -> bool:
    """Tell whether a result still counts: the fault was done, and to the image as it is now."""
    name = bench.images.get(result.open_mpi)
    current = result.image if name is None else bench.image_ids[name]
    return not result.undone and result.image == current


def _run(cases: list[Case], bench: Bench, file: ResultsFile, console: Console) -> list[Result]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    results = []
    with interruptible(), Progress(*columns, console=console) as progress:
        task = progress.add_task("faults", total=len(cases))
        for case in cases:
            progress.update(task, description=f"{case.fault.name} {case.open_mpi}")
            result = Trial(case, bench).run()
            file.add(result)
            results.append(result)
            progress.advance(task)
            progress.console.print(_line(case.fault, result), highlight=False)
    return results


def _line(fault: Fault, result: Result) -> str:
    mode = " bare" if result.bare else ""
    verdict = "[green]ok[/]" if not result.wrong else f"[red]{'; '.join(result.wrong)}[/]"
    ended = "" if result.ended_seconds is None else f" after {result.ended_seconds:.1f} s"
    code = "no exit" if result.exit_code is None else f"exit {result.exit_code}"
    return f"{fault.name} {result.open_mpi}{mode} #{result.run}: {code}{ended}, {verdict}"


if __name__ == "__main__":
    try:
        main()
    except Interrupted as interrupted:
        sys.exit(interrupted.exit_code)
