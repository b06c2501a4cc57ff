# make up      the whole shop on this machine          make up ARGS="--layout split --port 9000"
# make test    every check and every test               make test-long   the same for longer, and whole shops with a bug
# make lock    new versions into the lock files        make format   rewrite the code in our style
# make release wheel, sources, bill of materials and image of the last commit, into dist/
# Needs Python 3.11 or newer and nothing else; everything it installs lives in .venv and .ordermill.

# A distribution's Python is built with optimisations, one that a version manager has built often is not: it takes a
# sixth more for an order. The first one that will do is taken, or what PYTHON names.
WILL_DO = import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for one in /usr/bin/python3 python3; do \
	$$one -c '$(WILL_DO)' 2>/dev/null && echo $$one && exit; done; echo python3)
ARGS ?=
BIN = .venv/bin
# uv takes seconds where pip takes a minute; where it cannot (only pip was told of a mirror, say), pip does.
PIP = $(BIN)/python -m pip install --disable-pip-version-check --require-hashes --no-deps -q
UV = $(BIN)/uv pip install --python $(BIN)/python --require-hashes --no-deps -q
COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --upgrade --generate-hashes --no-emit-index-url \
	--no-header --no-annotate --universal --python-version 3.11
# The script `ordermill`, which is there once what it needs is. It looks for nothing in the current folder.
COMMAND = printf '\043!/bin/sh\nexec "%s/python" -P -m ordermill "$$@"\n' "$(CURDIR)/$(BIN)" >$(BIN)/ordermill && \
	chmod +x $(BIN)/ordermill

# What the shop consists of.
PACKAGES = contracts chassis gateway ordermill $(wildcard *_service)

# What these find out takes the whole machine. Shops with a bug in each, shops to measure and shops to flood: for
# `make test-long` (record 0041).
ALONE = tests/system/test_prove.py
LONG = $(addprefix tests/system/test_, overload.py prove_catches.py bench.py usual_way.py)

# These go through the same code so often, or start so many processes, that measuring which lines they reach would take
# a third of their time; every line of contracts and domains has a test beside these.
PROOFS = $(addprefix tests/, simulation stateful model attacks architecture performance)

# File by file, in the order in which tests/conftest.py puts them; more processes than processors, since tests wait, but
# not of those that start whole shops.
SIDE_BY_SIDE = --dist loadfile --no-loadscope-reorder

.PHONY: up test proofs shops test-long lock format release
.DEFAULT_GOAL := up

up: .venv/installed
	@exec $(BIN)/python -P -m ordermill up $(ARGS)

test: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive $(PACKAGES)
	$(BIN)/python -m tests.support.known_flaws
	$(BIN)/coverage erase
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target proofs shops
	$(BIN)/coverage run -m pytest -n 3 $(SIDE_BY_SIDE) $(foreach one,$(PROOFS) tests/system,--ignore $(one))
	$(BIN)/coverage run -m pytest $(ALONE) $(if $(ORDERMILL_LONG),$(LONG))
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under 95
	$(BIN)/coverage report --fail-under 100 --include 'contracts/*,*/domain/*'

# Whole shops wait more than they work, and proofs only work: the ones get what processors the others leave.
proofs: .venv/installed-dev
	nice $(BIN)/python -m pytest -n 3 $(SIDE_BY_SIDE) $(PROOFS)

shops: .venv/installed-dev
	$(BIN)/python -m pytest -n 2 $(SIDE_BY_SIDE) tests/system $(foreach one,$(ALONE) $(LONG),--ignore $(one))

test-long: export ORDERMILL_LONG = 1
test-long: test

lock: .venv/installed-dev
	$(COMPILE) --output-file requirements.lock
	$(COMPILE) --extra dev --output-file requirements-dev.lock

format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

release: .venv/installed-dev
	@$(BIN)/python deploy/release.py

.venv/installed: requirements.lock Makefile .venv/python
	@echo "installing what requirements.lock names (once)" >&2
	@$(UV) -r requirements.lock 2>/dev/null || $(PIP) -r requirements.lock
	@$(COMMAND)
	@touch $@

.venv/installed-dev: requirements-dev.lock Makefile .venv/python
	@echo "installing what requirements-dev.lock names (once)" >&2
	@$(UV) -r requirements-dev.lock 2>/dev/null || $(PIP) -r requirements-dev.lock
	@$(COMMAND)
	@touch $@

# The virtual environment, with this folder on its path.
.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Ordermill needs Python 3.11 or newer; $(PYTHON) is: $$($(PYTHON) --version 2>&1)" >&2; \
	  echo "→ sudo apt-get install -y python3 python3-venv   (or: make up PYTHON=python3.12)" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { \
	  echo "Python cannot make a virtual environment: its module venv is missing." >&2; \
	  echo "→ sudo apt-get install -y python3-venv" >&2; exit 1; }
	@$(BIN)/python -c 'import pathlib, sysconfig; \
	  pathlib.Path(sysconfig.get_path("purelib"), "ordermill.pth").write_text(str(pathlib.Path.cwd()) + "\n")'
	@sed -n '/^uv==/,/[^\\]$$/p' requirements-dev.lock | $(PIP) --only-binary :all: -r /dev/stdin 2>/dev/null || true
	@touch $@
