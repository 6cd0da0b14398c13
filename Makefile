.PHONY: help reproduce-report record bonus check test torture readme bench dist clean
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# What a run needs is installed once, what tests need when they are run; the package itself is used in place. What is
# imported is compiled then.
.venv/dev: EXTRAS := [dev]
.venv/runtime .venv/dev: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cifarnet needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --editable '.$(EXTRAS)'
	touch .venv/runtime $@

# CIFAR-10 is taken where it is found, else fetched; failing both, synthetic data take its place, and the page says so.
reproduce-report: .venv/runtime ## every report trained again, and the page (SEEDS=1 ONLY=chou-2019 JOBS=2)
	@$(BIN)/cifarnet data info >/dev/null 2>&1 || $(BIN)/cifarnet data download || true
	@$(BIN)/cifarnet reproduce-report $(SEEDS:%=--seeds %) $(ONLY:%=--only %) $(JOBS:%=--jobs %)

record: .venv/runtime ## train the best network with one hidden layer, 3 seeds, and show it
	for seed in 42 43 44; do \
	  $(BIN)/python -m cifarnet train --config record --label record --seed $$seed --runs-dir runs/record || exit 1; done
	$(BIN)/python -m cifarnet evaluate --flips --shifts 2 runs/record/*-train-record*

bonus: .venv/runtime ## the page of the bonus tasks: what each of them brings, over 3 seeds
	$(BIN)/python -m cifarnet reproduce-report --studies bonus --runs-dir runs/bonus

check: .venv/dev ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

test: .venv/dev ## all tests; those on real data run where CIFAR-10 is found
	$(BIN)/python -m pytest -n auto --dist worksteal

torture: .venv/dev ## break things for a quarter of an hour: all kills, faults and mistakes that `make test` takes samples of
	$(BIN)/python -m pytest -m '(torture or slow) and not packaging'

readme: .venv/dev ## run what README.md shows and write the output into it
	$(BIN)/python tests/readme.py

bench: .venv/dev ## speed beside the machine's limit and other libraries: pip install -e '.[bench]' first
	$(BIN)/python tests/benchmarks/bench.py

dist: .venv/dev ## wheel and sdist under dist/, each tried in new environments with every Python that is here
	$(BIN)/python -m build
	CIFARNET_PYTHONS=all $(BIN)/python -m pytest -m packaging

clean: ## remove what was installed and cached, never runs
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
