# mpijob-runtime: everything starts here. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
BIN := .venv/bin
LOCAL := $(BIN)/mpijob-local
OPEN_MPI ?= 4.1
JOB ?= ddp
N ?= 1
# a verdict other than PASS is an answer: eight nodes on few cores do not hold all guards
EMULATE := $(BIN)/mpijob-bench emulate --profile vgg16 --network 100gbit --time-scale 4 --pairs 3 \
	--warmup 2 --steps 4 --ablation-steps 4 --curve '' --double-pairs 0
RESULTS := .build/emulated-$(shell date +%s)
TARGETS_ddp := torch
TARGETS_horovod := horovod
TARGETS_mpi4py := runtime
TARGETS_pi := runtime devel

.PHONY: help run test matrix field image images lint unit fuzz faults peers bench lock clean host

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

run: host .venv/ready ## train the DDP example on a launcher and eight workers (OPEN_MPI=5.0, JOB=horovod|pi|mpi4py)
	$(LOCAL) build --open-mpi $(OPEN_MPI) $(addprefix --target ,$(TARGETS_$(JOB)))
	$(LOCAL) build --open-mpi $(OPEN_MPI) examples/$(JOB)
	$(LOCAL) run --image mpijob-example:$(JOB)-ompi$(OPEN_MPI) examples/$(JOB)/mpijob.yaml
	@echo "How it would scale, in less than 5 minutes: make bench, or $(EMULATE) --out results"

test: host .venv/ready ## lint, unit, ssh, mpi, image and cluster tests, with coverage
	tools/test.sh

matrix: host .venv/ready ## pi under every operator, user, key path and Open MPI (WRITE=1: table into docs)
	for version in 4.1 5.0; do \
	    $(LOCAL) build --quiet --open-mpi $$version --target runtime --target devel; \
	    $(LOCAL) build --quiet --open-mpi $$version examples/pi; \
	done
	PYTHONPATH=tests $(BIN)/python -m operator_matrix $(if $(WRITE),--write docs/operators.md)

field: host .venv/ready ## what public manifests and users' scripts do, on both Open MPIs (WRITE=1: table into docs)
	for version in 4.1 5.0; do $(LOCAL) build --quiet --open-mpi $$version --target horovod; done
	PYTHONPATH=tests $(BIN)/python -m field $(if $(WRITE),--write docs/compatibility.md)

image: host .venv/ready ## build the public images for OPEN_MPI (4.1 by default); CUDA: mpijob-local build --target cuda
	$(LOCAL) build --open-mpi $(OPEN_MPI) --target runtime --target devel --target torch --target horovod

lint: .venv/ready ## ruff, mypy --strict, shellcheck, hadolint
	tools/lint.sh

unit: .venv/ready ## the tests that need no container
	$(BIN)/python -m pytest tests/unit

fuzz: .venv/ready ## feed the parsers of outside input with odd bytes (MINUTES=3)
	PYTHONPATH=tests $(BIN)/python -m fuzz --minutes $(or $(MINUTES),3)

faults: host .venv/ready ## do every fault N times to real jobs (N=20, FAULTS='--fault link-down'); goes on where it was
	PYTHONPATH=tests:tests/cluster $(BIN)/python -m faults --times $(N) --resume --out .build/faults/results.jsonl $(FAULTS)

peers: host .venv/ready ## mpi4py's whole test suite on two hosts, against plain Open MPI
	for version in 4.1 5.0; do $(LOCAL) build --quiet --open-mpi $$version --target test; done
	MPIJOB_PEERS=whole $(BIN)/python -m pytest tests/peers

bench: host .venv/ready ## measure image sizes, start-up and our own overhead; a short emulated scaling run
	$(BIN)/python benchmarks/launch/overhead.py
	$(LOCAL) build --quiet --target torch
	$(EMULATE) --out $(RESULTS) || test $$? -lt 5

lock: .venv/ready ## pin the Python dependencies anew, with hashes
	tools/lock.sh

clean: ## remove our containers, images and files; nothing else
	-test ! -x $(LOCAL) || $(LOCAL) down --all
	rm -rf .venv .build .mypy_cache .ruff_cache .pytest_cache .hypothesis

host:
	@tools/host-packages.sh

.venv/ready: requirements/dev.txt pyproject.toml mpijob_local/pyproject.toml benchmarks/pyproject.toml
	@tools/host-packages.sh
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable . --editable ./mpijob_local \
		--editable ./benchmarks
	touch $@
