# Everything starts here: `make` lists what there is. State lives in .venv and, for `make up`, in var/.
.DEFAULT_GOAL := help
.PHONY: help up test lint format train benchmark screenshots constraints clean

VENV := .venv
BIN := $(VENV)/bin
# Python 3.11 or 3.12: the first of these that runs, or the one named with `make PYTHON=...`.
PYTHON := $(shell for name in python3.12 python3.11 python3 python; do \
	$$name -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null \
	&& echo $$name && break; done)
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or 3.12 with venv found. Install one" \
		"(Debian: apt install python3 python3-venv), or name it: make PYTHON=/path/to/python3.12"; exit 2; }
	@echo "setting up $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)

# One stamp for each set of extras; it is made again when the dependencies change.
$(VENV)/.serving: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing what serving needs (no TensorFlow); a few minutes the first time"
	@$(INSTALL) --editable '.[dashboard]'
	@touch $@

$(VENV)/.everything: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing everything, TensorFlow too; some minutes the first time"
	@$(INSTALL) --editable '.[dashboard,train,dev]'
	@touch $@ $(VENV)/.serving

up: $(VENV)/.serving ## Set up what is missing, then run inbox, queue, worker and dashboard
	@$(BIN)/triage up

test: $(VENV)/.everything ## Set up what is missing, then run the tests (ARGS="-k name" for some)
	@$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.everything ## Check style, types and import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.everything ## Format the code
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

train: $(VENV)/.everything ## Train a model: make train DATA=folder
	@test -n "$(DATA)" || { echo "Name the labelled folder: make train DATA=folder"; exit 2; }
	@$(BIN)/python -m training.run --data "$(DATA)" $(ARGS)

benchmark: $(VENV)/.everything ## Measure the whole system against a bare loop (ARGS="--help" for more)
	@$(BIN)/python -m benchmarks.throughput $(ARGS)

screenshots: $(VENV)/.everything ## Make the pictures of docs/screenshots again, with a real browser
	@TRIAGE_SCREENSHOTS=docs/screenshots $(BIN)/python -m pytest tests/e2e -m browser
	@TRIAGE_SCREENSHOTS=docs/screenshots $(BIN)/python -m pytest tests/integration/test_command_line.py -k render

constraints: $(VENV)/.everything ## Write constraints.txt anew from what is installed (do this on Python 3.11)
	@{ head -n 2 constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | sed 's/ @ .*//' \
	| grep -viE '^(pip|setuptools|wheel)==' | sort --ignore-case; } > constraints.new
	@mv constraints.new constraints.txt

clean: ## Remove the environment and caches; state in var/ stays
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
