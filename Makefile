# Everything here works on a machine that has Python >= 3.11 and make, and nothing else:
#
#   make demo     set up, then price and draw a real volatility surface
#   make test     set up, then run the tests
#   make lint     style, types and import contracts
#   make bench    the benchmarks, beside their peers           make bench NAME=black_scholes
#   make docs     the documentation site, in site/
#   make clean    remove what was made, but for the environments; make distclean removes these too
#
# Another Python, beside the first:   make test PYTHON=python3.12 VENV=.venv-3.12
# Part of the tests:                  make test TESTS='tests/hub -k adapter'

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
# Processes that share the tests; most of their time goes into compiling, which keeps one core busy each.
WORKERS ?= 2
TESTS ?=
NAME ?=

.PHONY: help demo test lint bench docs clean distclean

help:
	@sed -n '3,11p' Makefile | sed 's/^# *//'

demo: $(VENV)/.installed-trading
	$(BIN)/gpujax demo

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(TESTS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

bench: $(VENV)/.installed-bench
	$(BIN)/gpujax bench $(NAME)

docs: $(VENV)/.installed-docs
	$(BIN)/mkdocs build --strict

clean:
	rm -rf build dist site output .jax_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf .venv .venv-*

# An environment is made once; what is installed follows pyproject.toml, and without a change of it nothing is fetched again.
$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "gpujax needs Python 3.11 or newer; name it: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is $$($(PYTHON) --version 2>&1); gpujax needs Python 3.11 or newer: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# The stamp's name is the extra that it stands for.
$(VENV)/.installed-%: pyproject.toml | $(VENV)/.made
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	@touch $@
