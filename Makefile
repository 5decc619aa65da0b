# Each command does the set-up that it needs. The second time it needs no network.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# On a terminal pip shows its progress; elsewhere it is quiet.
INSTALL = [ -t 1 ] || quiet=--quiet; $(BIN)/python -m pip install $$quiet --requirement
# A process for each core and one, as many tests wait for servers, up to four; each takes whole files of tests.
# `make test PARALLEL=` has one process.
PROCESSES := $(shell n=$$(( $$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN) + 1 )); echo $$(( n < 4 ? n : 4 )))
PARALLEL ?= -n $(PROCESSES) --dist loadfile --no-loadscope-reorder
# Each process that a test starts would compile all code anew.
unexport PYTHONDONTWRITEBYTECODE
SOURCES := predictor tools bench tests wsgi.py gunicorn.conf.py

.PHONY: help setup run test test-fast test-cluster check format bench ablate fuzz soak image clean

help: ## Show the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

setup: $(VENV)/.run-ready ## Set up what the service needs, and start nothing

run: $(VENV)/.run-ready ## Set up and serve http://127.0.0.1:8080 (PREDICTOR_BIND)
	exec $(BIN)/gunicorn

test: $(VENV)/.test-ready ## Set up and run every test
	$(BIN)/python -m pytest $(PARALLEL)

test-fast: $(VENV)/.dev-ready ## Set up and run the tests that need no server and few processes, without fuzzing
	$(BIN)/python -m pytest $(PARALLEL) -m "not live and not browser and not fuzz and not slow and not cluster"

test-cluster: $(VENV)/.cluster-ready ## Set up Ceph and test many machines on it, as root; the table is bench/results/cluster.md
	$(BIN)/python -m pytest -s -m cluster tests/cluster

check: $(VENV)/.dev-ready ## Format, lint, types and known vulnerabilities of the packages
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/python -m tools.audit

bench: $(VENV)/.dev-ready ## Measure this machine: the service and its peers, its parts, and models switched under load
	sh tools/install_wrk.sh
	$(BIN)/python -m bench.peers
	$(BIN)/python -m bench.micro
	$(BIN)/python -m bench.switch
	$(BIN)/python -m bench.overload
	$(BIN)/python -m bench.optimised

ablate: $(VENV)/.dev-ready ## Measure the service with one mechanism switched off at a time (OPTIONS="--rounds 3")
	sh tools/install_wrk.sh
	$(BIN)/python -m bench.ablate $(OPTIONS)

fuzz: $(VENV)/.test-ready ## Fuzz the API, what reads pictures and texts, and the check of models, for half an hour (FUZZ_SEED)
	$(BIN)/python -m tools.fuzz

soak: $(VENV)/.test-ready ## Load the service for MINUTES=30 while workers are killed and models switched; check every promise
	MINUTES=$(MINUTES) $(BIN)/python -m bench.soak

image: ## Build the container with buildah, run it, and write its size into bench/results/image.md (as root, on Debian)
	sh tools/image.sh

format: $(VENV)/.dev-ready ## Put the code into the house format
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

clean: ## Remove the environment and what the service wrote
	rm -rf $(VENV) instance

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 run")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run-ready: requirements.txt | $(BIN)/python
	@echo "Setting up the environment in $(VENV) (about a minute) ..."
	@$(INSTALL) requirements.txt
	@touch $@

$(VENV)/.dev-ready: requirements-dev.txt requirements.txt | $(BIN)/python
	@echo "Setting up the environment for development in $(VENV) (about two minutes) ..."
	@$(INSTALL) requirements-dev.txt
	@touch $@ $(VENV)/.run-ready

$(VENV)/.test-ready: $(VENV)/.dev-ready tools/install_test_servers.sh
	sh tools/install_test_servers.sh $(VENV)
	touch $@

$(VENV)/.cluster-ready: $(VENV)/.dev-ready tools/install_cluster_servers.sh tools/install_ray.sh
	sh tools/install_cluster_servers.sh $(VENV)
	sh tools/install_model_servers.sh $(VENV)
	sh tools/install_ray.sh $(VENV)
	touch $@
