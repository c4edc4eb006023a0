"""A stand-in for mpijob-runtime: plays launches whose ranks tell made-up steps.

Hand-made: it knows the command line that the benchmark uses and the form of ``--output json``.
What ranks really tell is tested in tests/bench, and whole launches in tests/cluster.
"""

import os
import stat
import sys
import textwrap

HOSTS = ("w-0", "w-1", "w-2", "w-3")

PROGRAM = """
    import json, os, sys
    hosts = {hosts!r}
    words = sys.argv[1:]
    if words[0] == "hosts":
        found = [dict(name=name, slots=1) for name in hosts]
        print(json.dumps(dict(hosts=found, world_size=len(hosts), source="stand-in")))
        sys.exit(0)
    option = lambda name: words[words.index(name) + 1]
    counted = os.path.join({home!r}, "launches")
    with open(counted, "a") as file:
        file.write(" ".join(words) + "\\n")
    number = sum(1 for _ in open(counted)) - 1
    with open(option("--report"), "w") as file:
        json.dump(dict(outcome="failed", reason="rank 1 was killed"), file)
    if number in {failing!r}:
        sys.exit(137)
    if number in {hanging!r}:
        import signal, time
        def end(*_):
            open(os.path.join({home!r}, f"ended-{{os.getpid()}}"), "w").close()
            sys.exit(75)
        signal.signal(signal.SIGTERM, end)
        open(os.path.join({home!r}, f"hangs-{{os.getpid()}}"), "w").close()
        time.sleep(60)
    if number in {killing!r}:
        os.kill(os.getppid(), 9)
        sys.exit(0)
    chosen = option("--host").split(",") if "--host" in words else [name + ":1" for name in hosts]
    names = [name.split(":")[0] for name in chosen]
    alone = "--alone" in words

    def tell(rank, **data):
        line = dict(time=0, rank=rank, host=names[rank], stream="stdout", text=json.dumps(data))
        print(json.dumps(line), flush=True)

    user = "--launch" not in words and "mpijob_bench.ranks.ring" not in words
    for rank in range(len(names)):
        if user:
            for step in range(6):
                tell(rank, step=step, step_seconds=0.1 if len(names) == 1 else 0.125, samples=8)
            continue
        if "mpijob_bench.ranks.ring" in words:
            tell(rank, bench="link", payload_bytes=1_000_000, seconds=0.0334)
            continue
        for mode in ("full",) if alone else ("local", "tiny", "full"):
            took = 0.1 if alone or mode == "local" else 0.11 if mode == "tiny" else 0.125
            tell(rank, bench="steps", mode=mode, first=0, seconds=[1.0], warmup=True)
            tell(rank, bench="steps", mode=mode, first=0, seconds=[took] * 4, warmup=False)
            count = lambda sent: dict(sent_bytes=sent, waiting_seconds=0.0, idle_ticks=sent,
                                      stolen_ticks=0, ticks=sent)
            tell(rank, bench="block", mode=mode, steps=4, samples=32, seconds=4 * took,
                 late=None, interface="eth0", before=count(0), after=count(10**12))
        tell(rank, bench="rank", wrong_elements={wrong!r}, boot_id=names[rank])
    print("something else that a rank printed")
"""


def put_stand_in(directory, monkeypatch, *, failing=(), killing=(), hanging=(), wrong=0):
    """Put the stand-in on PATH and return the file that has a line for each launch.

    Args:
        directory: where it lies.
        monkeypatch: pytest's.
        failing: numbers of launches that end with 137.
        killing: numbers of launches that kill the benchmark.
        hanging: numbers of launches that last until SIGTERM.
        wrong: elements that each rank tells.
    """
    text = textwrap.dedent(PROGRAM).format(
        hosts=HOSTS,
        home=str(directory),
        failing=set(failing),
        killing=set(killing),
        hanging=set(hanging),
        wrong=wrong,
    )
    put_program(directory, monkeypatch, f"#!{sys.executable}\n{text}")
    return directory / "launches"


def put_program(directory, monkeypatch, text):
    """Put a script on PATH in the place of mpijob-runtime."""
    path = directory / "mpijob-runtime"
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(directory), prepend=os.pathsep)
