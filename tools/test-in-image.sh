#!/usr/bin/env bash
# Runs the tests that need a real sshd or mpirun, inside an image that has both.
set -euo pipefail
cd "$(dirname "$0")/.."
image=$1

mkdir -p .build/coverage
chmod 0777 .build/coverage
run() {
    .venv/bin/mpijob-local podman run --rm --network=none \
        --volume "$PWD:/src:ro" --volume "$PWD/.build/coverage:/coverage" --workdir /src \
        --env COVERAGE_FILE=/coverage/.coverage --env OMPI_MCA_rmaps_base_oversubscribe=1 \
        "$image" "$@"
}
pytest=(python -m pytest -p no:cacheprovider --cov --cov-report=)
run "${pytest[@]}" tests/ssh
run mpirun -n 1 "${pytest[@]}" --with-mpi --only-mpi tests/mpi
run mpirun -n 2 "${pytest[@]}" --with-mpi --only-mpi tests/mpi
