# beyondrag: from a bare machine (Python 3.11+, a C++ compiler, make) to a running, tested program.
# Nothing is written outside of this folder but pip's own cache.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$p && break; done)
BIN := .venv/bin
INSTALLED := .venv/.installed
DEMO := --library .demo/library
ARGS ?=

# llama-cpp-python is built from source the first time; this many compilers at once.
export CMAKE_BUILD_PARALLEL_LEVEL ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
export BEYONDRAG_MODELS := $(CURDIR)/.models
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo test test-fast test-slow lint screenshots bench bench-library
.DEFAULT_GOAL := help

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

setup: $(INSTALLED) ## .venv with the program and everything its development needs

$(INSTALLED): pyproject.toml CMakeLists.txt $(wildcard kvfiles/native/*)
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name it with PYTHON=..." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --editable '.[dev]'
	touch $@

demo: setup ## pull the default model, read examples/, answer three questions
	$(BIN)/beyondrag models pull
	$(BIN)/beyondrag ingest examples/documents $(DEMO) --yes
	$(BIN)/beyondrag ask $(DEMO) "Since which year has Velmora Kontakt been a supplier of Kestrimere?"
	$(BIN)/beyondrag ask $(DEMO) "What dividend per share was recommended for 2025?"
	@echo "And one that the documents do not answer:"
	$(BIN)/beyondrag ask $(DEMO) "How many days of bereavement leave does the company grant?" || test $$? -eq 3

test: setup ## the whole test suite, with the small real model (98 MB, pulled once)
	$(BIN)/beyondrag models pull smollm2-135m
	$(BIN)/python -m pytest -q $(ARGS)

test-fast: setup ## the tests that take no more than a few seconds
	$(BIN)/python -m pytest -q -m "not slow and not default_model" $(ARGS)

test-slow: setup ## the slow tests in their long forms: 200 kills, full disks; seeds are printed
	$(BIN)/beyondrag models pull smollm2-135m
	BEYONDRAG_LONG=1 $(BIN)/python -m pytest -q -m slow $(ARGS)

lint: setup ## style, formatting, types, and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

screenshots: setup ## docs/screenshots anew: the real app on examples/, with the default model
	$(BIN)/beyondrag models pull
	$(BIN)/python docs/screenshots/make.py $(ARGS)

bench: setup ## measure with the default model; options in ARGS, as in ARGS="--tokens 2048"
	$(BIN)/beyondrag models pull
	$(BIN)/beyondrag models calibrate
	$(BIN)/python -m eval.bench --archive archive $(ARGS)

bench-library: setup ## measure a library of 100,000 documents and the ingest of 8,000 files
	$(BIN)/python -m eval.bench.library $(ARGS)
