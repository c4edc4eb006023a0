#!/usr/bin/env bash
# All linters; each runs even if one before it complains.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
PATH="$PWD/.venv/bin:$PATH"
failed=0

check() {
    echo "== $*" >&2
    "$@" || failed=1
}

mapfile -t python_scripts < <(grep -lE '^#!.*python' entrypoints/*)
check ruff check .
check ruff format --check .
check ruff check --extension rank:python "${python_scripts[@]}"
check mypy
check shellcheck tools/*.sh tests/peers/*.sh images/build/* .ci/run
check hadolint --config .hadolint.yaml Containerfile {examples/*,tests/peers,benchmarks/mpi}/Containerfile
exit "$failed"
