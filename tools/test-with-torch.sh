#!/usr/bin/env bash
# Runs the tests that need torch, inside an image that has it.
set -euo pipefail
cd "$(dirname "$0")/.."
image=$1

mkdir -p .build/coverage
chmod 0777 .build/coverage
.venv/bin/mpijob-local podman run --rm --network=none --user=1000 \
    --volume="$PWD:/src:ro" --volume="$PWD/.build/coverage:/coverage" --workdir=/src \
    --env=COVERAGE_FILE=/coverage/.coverage "$image" \
    python -m coverage run -m pytest -q -p no:cacheprovider tests/training tests/bench
