# Two commands matter: `make check` and `make test`. Both set up what they need.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

DEPLOYMENT ?=
FAULT ?=
HOLD ?=
# A real deployment is probed where it is; everything else stays on loopback.
CHECK_ENV := $(if $(DEPLOYMENT),,T3PROBE_LOOPBACK_ONLY=1)
CHECK_ARGS := $(if $(DEPLOYMENT),--deployment=$(DEPLOYMENT)) $(if $(HOLD),--hold $(HOLD)) \
  $(foreach fault,$(FAULT),--fault $(fault)) $(ARGS)

TESTS ?= tests
# Minutes of their own, and better not beside others: `make realpath`, `make evenings`.
NOT_HERE := $(foreach one,realpath evenings,$(if $(findstring $(one),$(TESTS)),,--ignore=tests/$(one)))
# Many tests wait: one process more than two cores.
JOBS ?= 3
# The tests start some hundreds of interpreters: compiled files may be kept for them.
SUITE := T3PROBE_LOOPBACK_ONLY=1 PYTHONDONTWRITEBYTECODE= bash ci/cpu \
  $(BIN)/python -m pytest -c tests/pytest.ini -n $(JOBS) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help setup check test test-long hunt realpath evenings accuracy coverage mutants image-test lint format types bench documents lock proto dist clean

help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.run: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "t3probe needs Python 3.11 or newer, this is %s; name another with PYTHON=..." % sys.version.split()[0])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo 'python cannot make a virtual environment; on Debian: apt install python3-venv'; rm -rf $(VENV); exit 1; }
	@echo "setting up $(VENV) ..."
	@$(PIP) install -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo "setting up the tools for tests ..."
	@$(PIP) install -e '.[dev]'
	@touch $@

setup: $(VENV)/.dev ## make the environment for everything

check: $(VENV)/.run ## run all checks: on the lab, or with DEPLOYMENT=file, FAULT=segment:kind, HOLD=10s
	@$(CHECK_ENV) $(BIN)/python -m pytest $(CHECK_ARGS)

test: $(VENV)/.dev ## pass the suite's own tests, or TESTS=tests/verdict
	@$(SUITE) $(NOT_HERE) $(ARGS) $(TESTS)

test-long: $(VENV)/.dev ## the same with 200 gateway runs in place of 40, 100 times the hostile bytes, and a long hunt
	@T3PROBE_TEST_RUNS=200 T3PROBE_TEST_FUZZ=4000 $(SUITE) $(NOT_HERE) $(ARGS) $(TESTS)
	@$(MAKE) --no-print-directory hunt ARGS="--single 1000 --double 300 --half 300 --clean 100"

hunt: $(VENV)/.dev ## random faults on labs: does any verdict convict an innocent?
	@T3PROBE_LOOPBACK_ONLY=1 $(BIN)/python bench/hunt.py $(ARGS)

realpath: $(VENV)/.dev ## break a path of real programs by real means: is every verdict as written?
	@T3PROBE_LOOPBACK_ONLY=1 bash ci/cpu $(BIN)/python -m pytest -c tests/pytest.ini $(ARGS) tests/realpath

evenings: $(VENV)/.dev ## evenings of a person in a real Chromium on labs: is every answer as written?
	@T3PROBE_LOOPBACK_ONLY=1 bash ci/cpu $(BIN)/python -m pytest -c tests/pytest.ini $(ARGS) tests/evenings

accuracy: $(VENV)/.dev ## the same ten times, half of them on a busy machine: how often is it right?
	@T3PROBE_LOOPBACK_ONLY=1 $(BIN)/python tests/realpath/accuracy.py $(ARGS)

coverage: $(VENV)/.dev ## the tests, and which lines of t3probe they ran; takes several times as long
	@$(SUITE) --cov=t3probe --cov-report=term $(NOT_HERE) $(ARGS) $(TESTS)

mutants: $(VENV)/.dev ## change one token after the other and see whether the tests notice
	@T3PROBE_LOOPBACK_ONLY=1 $(BIN)/python tests/mutants.py $(ARGS)

image-test: $(VENV)/.dev ## build the image and run the job in it; as root, with buildah and debootstrap
	@cronjob/image/test $(BIN)/python

lint: $(VENV)/.dev ## ruff: rules and format
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

format: $(VENV)/.dev ## let ruff rewrite the code
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

types: $(VENV)/.dev ## mypy, strict
	@$(BIN)/mypy

bench: $(VENV)/.dev ## measure what a run and a verdict cost
	@for one in bench/*.py; do echo "== $$one"; T3PROBE_LOOPBACK_ONLY=1 $(BIN)/python $$one || exit 1; done

documents: $(VENV)/.run ## write anew what is made from the code: the JSON Schema, pages, tables and links
	@$(BIN)/t3probe schema > deployments/schema.json
	@for one in docs/make/*.py; do $(BIN)/python "$$one" || exit; done

lock: $(VENV)/.run ## pin the image's requirements anew
	@$(BIN)/python cronjob/image/lock.py

proto: ## make the messages of remote write anew, with the protobuf that pyproject.toml has as its floor
	@folder=$$(mktemp -d) && $(PYTHON) -m venv $$folder \
	  && $$folder/bin/python -m pip -qq install 'grpcio-tools==1.65.5' 'setuptools<81' \
	  && $$folder/bin/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. t3probe/deliver/metrics/remote_write.proto; \
	  code=$$?; rm -rf "$$folder"; exit $$code

$(VENV)/.dist: $(VENV)/.run
	@echo "setting up the tools for a release ..."
	@$(PIP) install -e '.[dist]'
	@touch $@

dist: $(VENV)/.dist ## build wheel, sdist and the list of what they carry into dist/; check and use both
	@ci/dist $(BIN)/python

clean: ## remove the environment and results
	@rm -rf $(VENV) results dist .mypy_cache .ruff_cache .hypothesis
