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
# it is laid over torch's environment, so what that has already is left out
mapfile -t there < <(sed -nE 's/^([a-z0-9.-]+)==.*/--no-emit-package=\1/p' \
    images/requirements/runtime.txt images/requirements/torch.txt)
lock images/requirements/bench.in "${there[@]}"
# == would also take a CPU build, torch==2.13.0+cpu, where pip is set up to find one
sed --in-place 's/^torch==\([0-9]\)/torch===\1/' images/requirements/cuda.txt
