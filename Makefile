.PHONY: help reproduce-report record bonus check test torture readme bench dist clean
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Dependencies are installed once; the package itself is used in place.
.venv/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cifarnet needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

# CIFAR-10 is taken where it is found, else fetched; failing both, the synthetic twin takes its place, and says so.
reproduce-report: .venv/installed ## every report trained again, and the page (SEEDS=1 ONLY=chou-2019 JOBS=2)
	@$(BIN)/cifarnet data info >/dev/null 2>&1 || $(BIN)/cifarnet data download || true
	@$(BIN)/cifarnet reproduce-report $(SEEDS:%=--seeds %) $(ONLY:%=--only %) $(JOBS:%=--jobs %)

record: .venv/installed ## train the best network with one hidden layer, 3 seeds, and show it
	for seed in 42 43 44; do \
	  $(BIN)/python -m cifarnet train --config record --label record --seed $$seed --runs-dir runs/record || exit 1; done
	$(BIN)/python -m cifarnet evaluate --flips --shifts 2 runs/record/*-train-record*

bonus: .venv/installed ## the page of the bonus tasks: what each trick is worth, over 3 seeds
	$(BIN)/python -m cifarnet reproduce-report --studies bonus --runs-dir runs/bonus

check: .venv/installed ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

test: .venv/installed ## all tests; those on real data run where CIFAR-10 is found
	$(BIN)/python -m pytest

torture: .venv/installed ## break things for a quarter of an hour, all that `make test` has a share of
	$(BIN)/python -m pytest -m 'torture or not torture' tests/test_faults.py tests/test_kills.py tests/test_resume.py

readme: .venv/installed ## run what README.md shows and write the output into it
	$(BIN)/python tests/readme.py

bench: .venv/installed ## speed beside the machine's limit and other libraries: pip install -e '.[bench]' first
	$(BIN)/python tests/benchmarks/bench.py

dist: .venv/installed ## wheel and sdist under dist/, each tried in new environments with every Python that is here
	$(BIN)/python -m build
	CIFARNET_PYTHONS=all $(BIN)/python -m pytest -m packaging

clean: ## remove what was installed and cached, never runs
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
