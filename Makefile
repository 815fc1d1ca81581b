# Every target does its own set-up; what is already built is reused.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

PG_CONFIG ?= pg_config

# Tests mostly wait, for servers and for what they have asked them, so more of them run at once than there are processors.
# tests/fix_side_by_side.py says which stay together. In e2e each process starts a Keycloak of its own, so there are two.
WORKERS ?= 4
SIDE_BY_SIDE := -n $(WORKERS)

.PHONY: help prerequisites parts clusters demo demo-logs demo-down test bench docs lint types unit integration attacks sanitize fuzz e2e lock clean module install-module
help: ## show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

prerequisites: # what the machine itself must have; says what is missing and how to get it
	@PYTHON=$(PYTHON) tests/parts/prerequisites.sh

$(STAMP): requirements/dev.txt pyproject.toml
	@PYTHON=$(PYTHON) tests/parts/prerequisites.sh python
	@echo ">> Python environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: prerequisites $(STAMP) ## start Keycloak, PostgreSQL and the service, and tell the story with them
	@$(BIN)/python -m demo up

demo-logs: $(STAMP) ## what the parts of the running demo have logged
	@$(BIN)/python -m demo logs

demo-down: $(STAMP) ## stop the demo and remove what it made
	@$(BIN)/python -m demo down

test: prerequisites $(STAMP) ## everything: lint, types, unit, integration, sanitize, attacks, e2e
	@tests/suite.sh lint types unit parts +clusters integration sanitize attacks clusters e2e

lint: $(STAMP) ## style and the import contract
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo

types: $(STAMP) ## mypy, strict
	$(BIN)/mypy
	$(BIN)/mypy cnpg/image/assemble

unit: $(STAMP) ## tests without network and processes
	tests/parts/no_network.sh $(BIN)/pytest $(SIDE_BY_SIDE) tests/unit

parts: $(STAMP) ## fetch and build the real parts that tests and demo use; what is there is reused
	@$(BIN)/python -m tests.parts

clusters: $(STAMP) ## build Kubernetes' API server and SPIRE, ten minutes the first time; what is there is reused
	@$(BIN)/python -m tests.parts clusters

integration: parts ## tests with PostgreSQL and the module, a programmable issuer and a programmable service
	$(BIN)/pytest $(SIDE_BY_SIDE) tests/integration

attacks: parts ## what must be refused and why: tokens, keys, documents, answers, also as real logins; what fuzzing found
	$(BIN)/pytest $(SIDE_BY_SIDE) tests/attacks tests/fuzz

sanitize: parts ## the module's tests and all attacks once more, with the module under address and undefined-behaviour sanitizers
	PGBEARER_SANITIZE=1 $(BIN)/pytest $(SIDE_BY_SIDE) tests/integration tests/attacks -k "test_module_ or attacks"

FUZZ_STAMP := $(VENV)/.fuzz
$(FUZZ_STAMP): requirements/fuzz.txt $(STAMP)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/fuzz.txt
	@touch $@

fuzz: SECONDS ?= 600
fuzz: parts $(FUZZ_STAMP) ## look for inputs that break what reads them, each target for so long: make fuzz SECONDS=60
	@$(BIN)/python -m tests.fuzz $(SECONDS)

e2e: parts clusters ## tests with Keycloak, its pages, psql's own device flow, real deciders, Kubernetes and SPIRE
	$(BIN)/pytest -n 2 tests/e2e

bench: parts ## how fast it is: every budget in one run, as ratios
	@$(BIN)/python -m tests.bench $(BENCH)

docs: $(STAMP) ## renew the pages that are generated from the code
	$(BIN)/python -m docs.generate

lock: $(STAMP) ## renew requirements/*.txt from pyproject.toml
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --group dev --extra serve --extra jwt --extra spiffe pyproject.toml -o requirements/dev.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.13 --constraint requirements/dev.txt --generate-hashes --no-header --no-annotate --extra serve --extra jwt --extra spiffe pyproject.toml -o requirements/service.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.13 --constraint requirements/dev.txt --generate-hashes --no-header --no-annotate --group pyproject.toml:build -o requirements/build.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-deps --generate-hashes --no-header --no-annotate requirements/fuzz.in -o requirements/fuzz.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.12 --no-deps --generate-hashes --no-header --no-annotate requirements/parts.in -o requirements/parts.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-deps --generate-hashes --no-header --no-annotate requirements/go.in -o requirements/go.txt

# Compiled anew each time: objects made for one server must not end up in the module for another.
module: ## compile pgbearer.so: make module PG_CONFIG=/path/to/pg_config
	@$(RM) -r build/pgmodule && mkdir -p build/pgmodule
	@$(MAKE) --no-print-directory -C build/pgmodule -f $(CURDIR)/validator/pgmodule/Makefile PG_CONFIG=$(PG_CONFIG)

install-module: module ## compile and put it where that server loads libraries from
	@$(MAKE) --no-print-directory -C build/pgmodule -f $(CURDIR)/validator/pgmodule/Makefile PG_CONFIG=$(PG_CONFIG) install

clean: ## remove what was built here; what is kept outside the tree for later runs stays
	$(RM) -r build dist $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
