# make demo | test | bench | soak | networks | lint: each sets up .venv first (once; nothing to do when requirements.lock is unchanged).
PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
COMPILED := $(VENV)/.compiled

.PHONY: help demo test bench soak networks lint setup clean
.DELETE_ON_ERROR:

help:
	@echo "make demo   a photograph through the array at 16, 8, 4 and 2 bits; table here, pictures in build/demo/"
	@echo "make test   lint, types and every test (a quarter of an hour on 2 cores, and set-up)"
	@echo "make bench  the measured targets"
	@echo "make soak   random programs three ways for SOAK_MINUTES (10) minutes"
	@echo "make networks  AlexNet, VGG-16, ResNet-18 and -50 at 16, 8, 4, 2 bits and w4a8, every integer (half an hour, 6 GiB)"
	@echo "make lint   ruff and mypy"
	@echo "make setup  only the environment .venv and compiled emulators; 'make clean' removes it and build/"

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Both emulators compiled once (numba keeps that in __pycache__), so that parallel tests do not all do it.
$(COMPILED): $(STAMP) $(wildcard rpa/arch/*.py rpa/emu/*/*.py)
	$(BIN)/rpa cosim docs/first.rpa --preset tiny --no-rtl
	@touch $@

setup: $(COMPILED)

demo: $(COMPILED)
	$(BIN)/python -m rpa.demo

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy

test: lint $(COMPILED)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -m "not soak"

bench: $(COMPILED)
	$(BIN)/python -m benchmarks

SOAK_MINUTES ?= 10
soak: $(COMPILED)
	$(BIN)/python -m rpa.verify.soak --minutes $(SOAK_MINUTES)

networks: $(COMPILED)
	$(BIN)/python -m pytest -q -m soak tests/compile/test_workloads.py

clean:
	rm -rf $(VENV) build
