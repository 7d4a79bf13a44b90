# gameday: `make` alone lists the targets.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
T ?= tests

.PHONY: help venv drill test test-all lint test-kubernetes test-kubernetes-nodes test-browser mutants killpoints soak golden bench clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 24

venv: $(STAMP) ## make .venv with everything in it

# uv resolves in seconds; where it cannot be had, a recent pip with the constraints does the same.
$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --upgrade pip
	@$(BIN)/python -m pip install -q uv && $(BIN)/uv pip install -q --python $(BIN)/python -c constraints.txt -e '.[lab,dev]' \
	  || $(BIN)/python -m pip install -q -c constraints.txt -e '.[lab,dev]'
	@touch $@

drill: $(STAMP) ## lose a real PostgreSQL primary under load, fail over, fail back, keep the evidence
	@$(BIN)/gameday drill

test: $(STAMP) ## the suite: real PostgreSQL, real Locust, under 3 minutes
	@$(BIN)/python -m pytest $(T) -m 'not slow' -n 4 --dist worksteal

test-all: $(STAMP) ## everything, the slow tests too
	@$(BIN)/python -m pytest $(T) -n 2

test-kubernetes: $(STAMP) ## drills on a real Kubernetes control plane; builds it once (5 minutes, apt)
	@tests/kubernetes/build.sh && $(BIN)/python -m tests.kubernetes.schemas
	@GAMEDAY_KUBERNETES_LANE=must $(BIN)/python -m pytest tests/kubernetes -n 0 --ignore tests/kubernetes/nodes $(AGAIN)

test-kubernetes-nodes: $(STAMP) ## drills on two real nodes with containers, as root, in namespaces of their own
	@tests/kubernetes/nodes.sh

test-browser: $(STAMP) ## the web console in real Chromium (apt-get install chromium); pictures in artefacts/
	@$(BIN)/python -m pip install -q -c constraints.txt -e '.[browser]'
	@GAMEDAY_BROWSER=must $(BIN)/python -m pytest tests/browser -n 0 -s

lint: $(STAMP) ## ruff and mypy --strict
	@$(BIN)/ruff check gameday tests loadprofiles
	@$(BIN)/ruff format --check gameday tests
	@$(BIN)/mypy

mutants: $(STAMP) ## change the engine on purpose; every change must be noticed
	@$(BIN)/python -m tests.mutants

killpoints: $(STAMP) ## kill the runner at every event of a drill; nothing may stay behind
	@$(BIN)/python -m tests.killpoints

soak: $(STAMP) ## a day in virtual time: is the runner as small at its end as it began?
	@$(BIN)/python -m tests.bench.soak

golden: $(STAMP) ## record the golden runs anew: their findings must stay what they are
	@$(BIN)/python -m tests.golden

bench: $(STAMP) ## compare side by side, print ratios
	@$(BIN)/python -m tests.bench

clean: ## remove what was made, the virtual environment too
	@rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
