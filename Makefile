# Everything from a fresh machine: Python 3.11 or newer, make, and the package registry.
#
#   make demo    render a tour of all five providers, locally and free
#   make test    run the tests
#
# A .venv that is already there is used as it is; what is missing is installed into it. Set-up runs again only when
# pyproject.toml changes.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
JOBS   ?= auto
SPEC   ?=
ARGS   ?=

TOUR   := specs/tour.yaml
VIDEOS := .renderer/sandbox/renders/tour
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test torture lint format bench check-readme validate plan apply status clean

help:  ## show this
	@printf 'Usage: make TARGET [PYTHON=python3.12] [ARGS="..."]\n\n'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.ready  ## render the tour with all five providers in the local sandbox: free, no keys
	@$(BIN)/renderer apply --sandbox --yes $(ARGS) $(TOUR)
	@printf '\nThe videos:\n'
	@find "$(CURDIR)/$(VIDEOS)" -name '*.mp4' | sort | sed 's/^/  /'

test: $(VENV)/.ready-dev  ## run the tests
	@$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

torture: $(VENV)/.ready-dev  ## the long campaigns: 20,000 simulated schedules, every kill point, every fault (an hour)
	@SIMULATION_SEEDS=20000 RENDERER_CAMPAIGN=1 $(BIN)/python -m pytest -n $(JOBS) \
	  tests/simulation tests/git tests/disk tests/locks tests/kill tests/state $(ARGS)

lint: $(VENV)/.ready-dev  ## check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(VENV)/.ready-dev  ## put the code into its form
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

check-readme: $(VENV)/.ready-dev  ## hold the README against the program: commands, options, manifests, output
	@$(BIN)/python -m pytest tests/test_readme.py $(ARGS)

bench: $(VENV)/.ready-dev  ## measure what this is built to be fast at, beside what it is compared with
	@$(BIN)/python tests/bench/replay.py $(ARGS)

validate: $(VENV)/.ready  ## renderer validate SPEC=...; all specs without it
	@$(BIN)/renderer validate $(ARGS) $(or $(SPEC),specs)

plan: $(VENV)/.ready  ## renderer plan SPEC=...; add ARGS=--sandbox to rehearse
	@$(BIN)/renderer plan $(ARGS) $(call named,$@)

apply: $(VENV)/.ready  ## renderer apply SPEC=...; asks before it buys
	@$(BIN)/renderer apply $(ARGS) $(call named,$@)

status: $(VENV)/.ready  ## renderer status SPEC=...
	@$(BIN)/renderer status $(ARGS) $(call named,$@)

setup: $(VENV)/.ready-dev  ## only prepare .venv, with everything that development needs

clean:  ## remove caches, builds and the rehearsal; what was bought stays, and so does .venv
	@rm -rf .renderer/sandbox build dist .hypothesis .mypy_cache .ruff_cache .pytest_cache
	@find renderer tests -name __pycache__ -type d -prune -exec rm -rf {} +

# A manifest is named, never guessed: the next word may be a purchase.
named = $(or $(SPEC),$(error Which manifest? make $(1) SPEC=$(TOUR)))

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  found=$$($(PYTHON) --version 2>/dev/null) || found='not there'; \
	  echo "Renderer needs Python 3.11 or newer; '$(PYTHON)' is $$found." >&2; \
	  echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Making $(VENV) ..." >&2
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

# pip installs dependency groups from 25.1 on.
$(VENV)/.ready: pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV) ..." >&2
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	@$(PIP) install 'pip>=25.1'
	@$(PIP) install --editable '.[sandbox]'
	@touch $@

$(VENV)/.ready-dev: pyproject.toml $(VENV)/.ready
	@echo "Installing the tools of development ..." >&2
	@$(PIP) install --editable '.[all]' --group dev
	@touch $@
