"""Fuzz every parser, each in a process of its own: ``make fuzz MINUTES=3``.

Coverage-guided by atheris where it is installed (x86-64 Linux), else random changes. An input that
breaks a parser is kept in .build/fuzz and named with its traceback; --again runs it once more.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

FOUND = Path(".build/fuzz")
SLOW_SECONDS = 10


def main():
    """Fuzz all targets, or one, and end with 1 if any broke."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=3.0, help="for all together")
    parser.add_argument("--target", help="only this one")
    parser.add_argument("--again", type=Path, metavar="FILE", help="one input for --target")
    parser.add_argument("--child-seconds", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.again:
        from fuzz.targets import BY_NAME

        BY_NAME[arguments.target](arguments.again.read_bytes())
        return
    if arguments.child_seconds:
        fuzz(arguments.target, arguments.child_seconds)
        return
    from fuzz.targets import BY_NAME

    names = [arguments.target] if arguments.target else list(BY_NAME)
    seconds = max(1, round(60 * arguments.minutes / len(names)))
    broken = [run(name, seconds) for name in names]  # all of them, whatever the first gives
    sys.exit(any(broken))


def run(name, seconds):
    """Fuzz one target in a process of its own, say how it went, and return whether it broke."""
    argv = (sys.executable, "-m", "fuzz", "--target", name, "--child-seconds", str(seconds))
    done = subprocess.run(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    tried = re.search(r"number_of_executed_units: (\d+)", done.stdout)
    count = f"{int(tried[1]):,}" if tried else "?"
    print(f"{name:20} {count:>12} inputs  {'BROKEN' if done.returncode else 'ok'}", flush=True)
    if done.returncode:
        print(done.stdout[-4000:])
    return done.returncode != 0


def fuzz(name, seconds):
    """Fuzz one target in this process."""
    directory = FOUND / name
    directory.mkdir(parents=True, exist_ok=True)
    try:
        import atheris
    except ImportError:
        fuzz_without_guide(name, seconds, directory)
        return
    from fuzz.mutate import ODD

    with atheris.instrument_imports(include=["mpijob_runtime", "mpijob_local"]):
        from fuzz.targets import BY_NAME, TARGETS
    corpus = directory / "corpus"
    corpus.mkdir(exist_ok=True)
    for number, seed in enumerate(TARGETS[BY_NAME[name]]):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = directory / "words"
    hexadecimal = ("".join(f"\\x{byte:02x}" for byte in word) for word in ODD)
    words.write_text("".join(f'"{word}"\n' for word in hexadecimal), encoding="ascii")
    options = (
        f"-dict={words}",
        f"-max_total_time={seconds}",
        f"-timeout={SLOW_SECONDS}",
        f"-artifact_prefix={directory}/",
        "-print_final_stats=1",
        "-verbosity=0",
    )
    atheris.Setup([sys.argv[0], *options, str(corpus)], BY_NAME[name])
    atheris.Fuzz()


def fuzz_without_guide(name, seconds, directory):
    """Try random changes, and keep the first input that breaks the target."""
    from fuzz.mutate import inputs
    from fuzz.targets import BY_NAME, TARGETS

    count = 0
    seeds = TARGETS[BY_NAME[name]]
    for data in inputs(seeds, seed=os.getpid(), seconds=seconds):
        count += 1
        try:
            BY_NAME[name](data)
        except BaseException:
            kept = directory / "broken"
            kept.write_bytes(data)
            print(f"kept as {kept}")
            raise
    print(f"number_of_executed_units: {count}")


if __name__ == "__main__":
    main()
