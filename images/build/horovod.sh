#!/usr/bin/env bash
# Builds Horovod's wheel, its sources unchanged: horovod.sh SDIST WHEEL-DIRECTORY
#
# A fixed directory, the release's own date and no debug information: the same sources, compiler
# and torch give the same wheel.
set -euo pipefail
sdist=$1 wheels=$2
here=$(dirname "$(realpath "$0")")
source=/tmp/horovod

mkdir "$source"
tar --extract --gzip --file="$sdist" --directory="$source" --strip-components=1
SOURCE_DATE_EPOCH=$(stat --format=%Y "$source/PKG-INFO")
export SOURCE_DATE_EPOCH
export CXX=$here/c++17 LDFLAGS=-Wl,--as-needed
export HOROVOD_WITH_MPI=1 HOROVOD_WITH_GLOO=1 HOROVOD_WITH_PYTORCH=1
export HOROVOD_WITHOUT_TENSORFLOW=1 HOROVOD_WITHOUT_MXNET=1
pip wheel --no-cache-dir --no-deps --no-build-isolation --no-index --wheel-dir="$wheels" "$source"
rm --recursive "$source"
