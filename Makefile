# Every target sets up what it needs: a machine with Python 3.11 or newer is enough.
PYTHON ?= python3
VENV   ?= .venv
# Installed first, so that a build of your choice (CPU, CUDA) is taken: make TORCH="torch==2.13.0" ...
TORCH  ?= torch==2.13.0
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# MONAI Label has an environment of its own: it wants versions that nothing else does.
LABEL  := $(VENV)-label
LABELS := $(LABEL)/.ready

.PHONY: help demo demo-2d test slow label-demo test-label test-federated bundles docs lint bench gpu-check mutants clean

help:  ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/'

$(READY): setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip "setuptools>=77" wheel
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

demo: $(READY)  ## segment a real brain and synthetic patients: label maps, table, picture in demo/
	$(BIN)/uniseg demo demo

demo-2d: $(READY)  ## recognise and segment synthetic 2D images of six modalities: masks, overlays, table in demo-2d/
	$(BIN)/uniseg demo-2d demo-2d

test: $(READY)  ## the tests that need minutes at most, in up to four processes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4

slow: $(READY)  ## the long tests too
	$(BIN)/python -m pip install --quiet --editable ".[dev,docs]"
	$(BIN)/python -m pytest -m "slow or not slow"

# torchvision 0.16.2, which MONAI Label wants, has no wheels for Python 3.12 and newer.
$(LABELS): requirements-label.txt setup.cfg
	@test -x $(LABEL)/bin/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "MONAI Label's environment needs \
Python 3.11, got $$($(PYTHON) --version): name one, as make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	test -x $(LABEL)/bin/python || $(PYTHON) -m venv $(LABEL)
	$(LABEL)/bin/python -m pip install --quiet --upgrade pip "setuptools>=77" wheel
	$(LABEL)/bin/python -m pip install --quiet "$(TORCH)"
	$(LABEL)/bin/python -m pip install --quiet --no-deps monailabel==0.8.5 torchvision==0.16.2 pydicom-seg==0.4.1
	$(LABEL)/bin/python -m pip install --quiet -r requirements-label.txt --editable .
	touch $@

label-demo: $(READY) $(LABELS)  ## a MONAI Label server on this machine, with synthetic patients
	rm -rf label-demo
	$(BIN)/uniseg phantom-studies label-demo/studies
	$(LABEL)/bin/uniseg label-app label-demo/app --demo
	MONAI_LABEL_DATASTORE_AUTO_RELOAD=false $(LABEL)/bin/python -m monailabel.main start_server --app label-demo/app \
		--studies label-demo/studies --host 127.0.0.1 --port 8000 \
		--conf models uniseg_upstream --conf zoo_source local --conf sam2 false

test-label: $(READY) $(LABELS)  ## the tests with a real MONAI Label server
	UNISEG_LABEL_PYTHON=$(abspath $(LABEL))/bin/python $(BIN)/python -m pytest -m label

test-federated:  ## a federation of three processes, with Flower, in an environment of its own
	test -x $(VENV)-federated/bin/python || $(PYTHON) -m venv $(VENV)-federated
	$(VENV)-federated/bin/python -m pip install --quiet "$(TORCH)"
	$(VENV)-federated/bin/python -m pip install --quiet pytest --editable ".[federated]"
	OMP_NUM_THREADS=1 $(VENV)-federated/bin/python -m pytest -m "slow or not slow" tests/test_federated_flower.py

bundles: $(READY)  ## every bundle as a versioned zip, in dist/
	rm -rf dist/new
	for bundle in bundles/*; do $(BIN)/uniseg zip-bundle $$bundle dist/new || exit; done
	mv dist/new/*.zip dist && rmdir dist/new

docs: $(READY)  ## the documentation site, in site/
	$(BIN)/python -m pip install --quiet --editable ".[dev,docs]"
	$(BIN)/python -m mkdocs build --strict

lint: $(READY)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)  ## about ten minutes: a window, resampling, 2D; with real scans (UNISEG_TEST_DATA) a training step too
	$(BIN)/python -m benchmarks.bench_window --repetitions 3
	$(BIN)/python -m benchmarks.bench_resample --repetitions 1
	$(BIN)/python -m benchmarks.bench_2d
	test -z "$$UNISEG_TEST_DATA" || $(BIN)/python -m benchmarks.training --patch 32 96 96 --features 8 96 --batches 8

gpu-check: $(READY)  ## on a machine with a GPU: agreement, speed, memory, training; a table in gpu/; DATA=... trains the open tasks
	$(BIN)/python -m benchmarks.gpu gpu $(if $(DATA),--open $(DATA))

mutants: $(READY)  ## 200 small mistakes drawn by seed, one at a time: how many the tests notice; an hour and more
	$(BIN)/python -m pip install --quiet --editable ".[dev,mutants]"
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.mutation

clean:  ## remove what the targets made
	rm -rf $(VENV) $(VENV)-federated $(LABEL) demo demo-2d label-demo build dist site *.egg-info .pytest_cache .ruff_cache .mypy_cache .coverage
