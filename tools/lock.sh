#!/usr/bin/env bash
# Pins the Python dependencies anew, with hashes, for the images and for .venv.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/python -m pip install --quiet uv
lock() {
    .venv/bin/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-header \
        --no-emit-index-url --no-annotate --no-strip-markers "$1" --output-file "${1%.in}.txt" "${@:2}"
}
for file in images/requirements/{runtime,torch,openmpi50,test,horovod,cuda}.in requirements/dev.in; do
    lock "$file"
done
lock images/requirements/horovod-source.in --no-deps
# == would also take a CPU build, torch==2.13.0+cpu, where pip is set up to find one
sed --in-place 's/^torch==\([0-9]\)/torch===\1/' images/requirements/cuda.txt
