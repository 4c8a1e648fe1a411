# Every target sets up what it needs: a machine with Python 3.11 or newer is enough.
PYTHON ?= python3
VENV   ?= .venv
# Installed first, so that a build of your choice (CPU, CUDA) is taken: make TORCH="torch==2.13.0" ...
TORCH  ?= torch==2.13.0
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: help demo test slow lint bench clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/'

$(READY): setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip "setuptools>=77" wheel
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

demo: $(READY)  ## segment synthetic patients of three modalities: label maps, table, picture in demo/
	$(BIN)/uniseg demo demo

test: $(READY)  ## the tests that need minutes at most
	$(BIN)/python -m pytest

slow: $(READY)  ## the long tests too
	$(BIN)/python -m pytest -m "slow or not slow"

lint: $(READY)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)  ## agreement with the official release, training throughput (needs UNISEG_TEST_DATA)
	$(BIN)/python -m benchmarks.parity
	$(BIN)/python -m benchmarks.training --patch 32 96 96 --features 8 96

clean:  ## remove what the targets made
	rm -rf $(VENV) demo build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .coverage
