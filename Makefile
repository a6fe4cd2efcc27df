# Every target sets up what it needs in .venv (tools/bootstrap.py) and is instant when nothing changed.
# PYTHON=/path/to/python3.12 chooses the interpreter, JOBS=4 the number of test processes.

SHELL := /bin/sh
.DEFAULT_GOAL := help
PY := .venv/bin/python
JOBS ?= 2
PYTEST ?= $(PY) -m pytest
PYTEST_ARGS ?=
ECP5_ARGS ?= --params tiny_1x1
SOURCES := talon hdl sim firmware boards tests examples benchmarks tools

export PYTHON

.PHONY: help setup setup-demo browser tclsh demo test test-all test-torch test-pynq notebooks notebooks-torch lint format types contracts unit area bitstream-ecp5 bench mutants clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /|/' | \
	    while IFS='|' read -r name text; do printf '  make %-15s %s\n' "$$name" "$$text"; done

setup: ## set up .venv for development
	@tools/bootstrap.sh dev

setup-demo:
	@tools/bootstrap.sh demo

browser: setup ## the browser of the tests: root gets Debian's Chromium, others the command
	@$(PY) tools/browser.py

tclsh: setup ## runs the scripts of talon build in the tests: root gets Debian's, others the command
	@$(PY) tools/tclsh.py

demo: setup-demo ## MNIST: plan, accuracy, the RTL on every shipped image, a report
	@.venv/bin/talon demo

test: lint contracts types unit ## what continuous integration runs

test-all: lint contracts types browser tclsh ## everything: also the slow tests and the budgets of area and bitstream (one core)
	$(PYTEST) -n $(JOBS) --dist worksteal $(PYTEST_ARGS)
	$(MAKE) area
	$(MAKE) bitstream-ecp5

test-torch: ## the tests that compare with PyTorch, snnTorch and Norse, in an environment with them
	@tools/bootstrap.sh torch
	.venv-torch/bin/python -m pytest -m "not slow" -n $(JOBS) --dist worksteal -p no:cacheprovider $(PYTEST_ARGS) \
	    $(shell grep -rlE 'importorskip.*torch' tests)

test-pynq: ## the driver of a board with the classes of PYNQ itself, in an environment with it
	@tools/bootstrap.sh pynq
	.venv-pynq/bin/python -m pytest -n 0 -p no:cacheprovider $(PYTEST_ARGS) \
	    $(shell grep -rlE 'importorskip.*pynq' tests)

notebooks: setup ## run examples/notebooks; copies with outputs go to build/notebooks
	@$(PY) tools/notebooks.py

notebooks-torch: ## those that need PyTorch and snnTorch, in an environment with them
	@tools/bootstrap.sh torch
	@.venv-torch/bin/python tools/notebooks.py $(wildcard examples/notebooks/[24]-*.ipynb)

lint: setup ## ruff: rules and format
	$(PY) -m ruff check $(wildcard $(SOURCES))
	$(PY) -m ruff format --check $(wildcard $(SOURCES))

format: setup ## let ruff mend what it can
	$(PY) -m ruff check --fix $(wildcard $(SOURCES))
	$(PY) -m ruff format $(wildcard $(SOURCES))

types: setup ## pyright, from the registry with its own Node.js
	@if $(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
	    $(PY) -m pyright --pythonpath $(PY); \
	else \
	    echo "types: skipped, amaranth-stubs needs Python 3.11 or newer"; \
	fi

contracts: setup ## import-linter: which room may import which
	.venv/bin/lint-imports

unit: setup browser tclsh ## the tests, without the slow ones
	$(PYTEST) -m "not slow" -n $(JOBS) --dist worksteal $(PYTEST_ARGS)

area: setup ## Yosys: area of core, router and array against the budget
	$(PY) tools/area.py

bitstream-ecp5: ## Yosys and nextpnr: a bitstream of one core for the ULX3S, against its budget
	@tools/bootstrap.sh ecp5
	.venv-ecp5/bin/python -m talon_boards.ecp5 -o build/ecp5 $(ECP5_ARGS)

bench: setup ## the figures of benchmarks/
	@set -e; for script in $(sort $(wildcard benchmarks/*.py)); do \
	    echo "== $$script"; $(PY) $$script; \
	done

mutants: setup ## put faults into the RTL and the golden model, one at a time
	$(PY) tools/mutants.py

clean: ## remove .venv, builds and caches
	rm -rf .venv .venv-torch .venv-pynq .venv-ecp5 build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
