# One command each for what a newcomer wants. Settings: make setup PYTHON=python3.12 ...
PYTHON ?= python3.11
VENV ?= .venv
# The PyTorch that this version was tested with, from the index of CPU builds (about 200 MB; the CUDA build
# takes gigabytes). `make setup TORCH_INDEX=` takes the build of your own package index instead.
TORCH_VERSION ?= 2.13.0
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
# Slicer's terminology files, which its wheel `slicer-core` leaves out; what else this package needs, we do not.
TERMINOLOGIES := trame-slicer==2.0.0
DEMO_OUTPUT ?= demo-output
PYTEST_ARGS ?=

BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH_READY := $(VENV)/.bench-ready
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format wheel clean

help:  ## show these lines
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) $(BENCH_READY)  ## make .venv with the engine, CPU PyTorch, Slicer's core and the test tools

# torch comes first and alone, then holds its version while the rest is resolved: nnunetv2 needs timm, timm
# needs torchvision, and that would otherwise replace it with the newest CUDA build.
$(READY): pyproject.toml Makefile
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found; name a Python 3.11 to 3.13: make setup PYTHON=..." >&2; exit 2; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@echo "installing PyTorch $(TORCH_VERSION) into $(VENV) ..."
	@$(PIP) install --no-deps --retries 1 --timeout 30 \
	    $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch==$(TORCH_VERSION)
	@$(BIN)/python -c 'from importlib.metadata import version; print("torch==" + version("torch"))' \
	    | tee $(VENV)/constraints.txt
	@echo "installing the engine, what it needs and the test tools: a few minutes ..."
	@$(PIP) install --constraint $(VENV)/constraints.txt --editable '.[test]'
	@touch $@

# Qt needs a few system libraries. They are installed where that may be done (apt-get, as root); else the last
# line says what to type, and all but the panel's tests works without them.
$(BENCH_READY): $(READY) Testing/panel/bench/environment.py
	@echo "installing Slicer's core and Qt for the panel's tests ..."
	@$(PIP) install --constraint $(VENV)/constraints.txt --editable '.[test,bench]'
	@$(PIP) install --no-deps $(TERMINOLOGIES)
	@$(BIN)/python Testing/panel/bench/environment.py
	@touch $@

demo: $(READY)  ## segment both hippocampi of the MNI152 head, into demo-output/
	@$(BIN)/python demo/run_demo.py $(DEMO_OUTPUT)

test: lint $(BENCH_READY)  ## style, types, the engine's tests and the panel's
	$(BIN)/python -m pytest -q -ra $(PYTEST_ARGS)

lint: $(READY)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)  ## let ruff rewrite the files
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(READY)  ## build sdist and wheel into dist/
	$(BIN)/python -m build --no-isolation --outdir dist .

clean:  ## remove what was built here, .venv included
	rm -rf $(VENV) dist build demo-output .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
