# Darkroom's commands. Each works on a fresh machine with Python 3.11 to 3.13, make and a C library; nothing else is assumed.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
JOBS ?= 2
# OpenMP threads that sleep while they wait: with other processes on the cores, spinning ones are ten times slower.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help install run test prove lint types bench fmt servers clients
help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP) ## environment in .venv, with test dependencies, from constraints.txt
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] <= (3, 13); sys.exit(0 if ok else "Darkroom needs Python 3.11 to 3.13; this is " + sys.version.split()[0] + ". Set PYTHON=python3.12, say.")'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade "pip>=25.1"
	$(PY) -m pip install --quiet --constraint constraints.txt torch
	$(PY) -m pip install --quiet --constraint constraints.txt --editable . --group dev
	@touch $@

run: install ## install if needed, then start the whole service on this machine
	@exec $(VENV)/bin/darkroom up $(ARGS)

test: install servers ## the CPU test suite, with its own PostgreSQL
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) --dist loadfile -m "not prove" $(ARGS)

prove: install servers clients ## the long lists: chaos, 500-example state machines, others' clients; at most 30 minutes
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) --dist loadfile -m prove --timeout 2400 $(ARGS)

lint: install ## ruff, formatting and import contracts
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports

types: install ## pyright, strict for app, workers and models
	$(VENV)/bin/pyright --pythonpath $(PY)

bench: install ## benchmarks; results belong in tests/benchmarks/README.md
	$(PY) -m tests.benchmarks $(ARGS)

fmt: install ## format and sort imports
	$(VENV)/bin/ruff check --fix . && $(VENV)/bin/ruff format .

servers: $(STAMP)
	@sh scripts/install-servers.sh $(PY)

clients: $(STAMP)
	@sh scripts/install-clients.sh $(VENV)
