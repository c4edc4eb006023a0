#!/usr/bin/env bash
# Pins the Python dependencies anew, with hashes, for the images and for .venv.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/python -m pip install --quiet uv
for file in images/requirements/{runtime,torch,openmpi50,test}.in requirements/dev.in; do
    .venv/bin/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-header \
        --no-emit-index-url --no-annotate --no-strip-markers "$file" --output-file "${file%.in}.txt"
done
