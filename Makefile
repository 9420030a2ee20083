# Everything runs in .venv, made here from nothing but Python >= 3.11. Each extra of
# pyproject.toml is installed once, and again when pyproject.toml changes: the stamp
# file says that it was.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
DEMO_OUT ?= runs/demo
# Arguments for pytest, such as PYTEST_ARGS='-k loader'.
PYTEST_ARGS ?=
WORKERS ?= auto
# What `make interpreted` runs: small arrays only, for it is a thousand times slower.
INTERPRETED := tests/backends/numba tests/ops/test_activation.py tests/ops/test_softmax.py \
  tests/ops/test_loss.py tests/optim/test_optimizers.py tests/normalization/test_layouts.py
# Two tests of accuracy are of compiled code alone: its sums are short, one for each vector lane.
INTERPRETED += --deselect tests/backends/numba/test_reduction.py::test_sums_are_accurate \
  --deselect 'tests/backends/numba/test_normalization.py::test_every_layout[shape0-1-broadcast]'

.NOTPARALLEL:
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: help demo test interpreted lint format parity bench test-gpu test-pretend-gpu bench-gpu clean

help:
	@echo 'make demo    train the demonstration, results in $(DEMO_OUT)'
	@echo 'make test    run the test suite, without the comparison with PyTorch'
	@echo 'make interpreted  run the tests of the Numba kernels as plain Python'
	@echo 'make parity  compare with PyTorch (installs it)'
	@echo 'make lint    check format, lint rules and types'
	@echo 'make format  put the format right'
	@echo 'make bench   measure speed against PyTorch (installs it)'
	@echo 'make test-gpu          run everything on a GPU, write the record of it'
	@echo 'make test-pretend-gpu  run the suite on a pretend GPU, kernels on the CPU'
	@echo 'make bench-gpu         measure speed on a GPU, against PyTorch too (installs it)'
	@echo 'make clean   remove the environment, results, builds and caches'

demo: $(STAMPS)/plot
	OPENBLAS_NUM_THREADS=1 $(BIN)/tinygrad-bn train --out $(DEMO_OUT)

test: $(STAMPS)/dev
	@echo 'tests/parity is left out here: it compares with PyTorch, run it by "make parity"'
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest --ignore=tests/parity -n $(WORKERS) --maxprocesses 8 $(PYTEST_ARGS)

interpreted: $(STAMPS)/dev
	NUMBA_DISABLE_JIT=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest $(INTERPRETED) -k 'not numpy and not strict' -n $(WORKERS) --maxprocesses 8 $(PYTEST_ARGS)

parity: $(STAMPS)/dev $(STAMPS)/parity
	$(BIN)/python -m pytest tests/parity $(PYTEST_ARGS)

lint: $(STAMPS)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy tinygrad_bn backends

format: $(STAMPS)/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMPS)/parity $(STAMPS)/plot
	$(BIN)/python -m benchmarks

# Both need a GPU, and fail saying why where there is none. CUPY names the extra for its CUDA.
CUPY ?= cupy-cuda13
# The checks of `make test-gpu`, such as "memcheck racecheck"; all if there are none.
CHECKS ?=

test-gpu: $(STAMPS)/dev $(STAMPS)/$(CUPY)
	$(BIN)/python -m tools.gpu.verify $(CHECKS)

bench-gpu: $(STAMPS)/dev $(STAMPS)/$(CUPY) $(STAMPS)/parity
	$(BIN)/python -m benchmarks.gpu

test-pretend-gpu: $(STAMPS)/dev
	TINYGRAD_BN_TEST_BACKENDS=cupy TINYGRAD_BN_PRETEND_GPU=1 $(BIN)/python -m pytest --ignore=tests/parity --ignore=tests/test_examples.py -n $(WORKERS) --maxprocesses 8 $(PYTEST_ARGS)

clean:
	rm -rf $(VENV) runs build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit( \
	  f"tinygrad_bn needs Python >= 3.11, $(PYTHON) is {v[0]}.{v[1]}: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS)
	@touch $@

$(STAMPS)/%: pyproject.toml | $(STAMPS)/venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@
