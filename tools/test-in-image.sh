#!/usr/bin/env bash
# Runs the tests that need a real sshd or mpirun, inside an image that has both.
set -euo pipefail
cd "$(dirname "$0")/.."
image=$1

mkdir -p .build/coverage
chmod 0777 .build/coverage
run() {
    .venv/bin/mpijob-local podman run --rm --network=none --user="$1" \
        --volume="$PWD:/src:ro" --volume="$PWD/.build/coverage:/coverage" --workdir=/src \
        --env=COVERAGE_FILE=/coverage/.coverage --env=OMPI_ALLOW_RUN_AS_ROOT=1 \
        --env=OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "$image" "${@:2}"
}
pytest=(python -m coverage run -m pytest -q -p no:cacheprovider)
for user in 0 1000; do
    run "$user" "${pytest[@]}" tests/ssh tests/unit/test_{shims,ssh_files,worker}.py
done
mpi=("${pytest[@]}" --with-mpi --only-mpi tests/mpi)
run 1000 mpirun -n 1 "${mpi[@]}"
run 1000 mpirun --host localhost:2 -n 2 "${mpi[@]}"
run 1000 mpijob-runtime launch --host localhost:2 -- "${mpi[@]}"
