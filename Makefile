# Needs Python >= 3.11 and make, nothing else. Everything is installed into .venv, in the versions of constraints.txt.

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# Python to make .venv with: python3 if it is new enough, else a newer one that is there.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALL := $(PIP) install --constraint constraints.txt --build-constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test fast lint bench clean
# A target that was cut short is not taken for a finished one.
.DELETE_ON_ERROR:

help:
	@echo "make demo    development broker, a worker, the web server and some traffic; PORT=8000 DEMO_PASSWORD=..."
	@echo "make test    every test; ARGS=... goes to pytest"
	@echo "make fast    the quick tests that need no real broker and no browser, on all cores"
	@echo "make lint    format, lint, types, layers, migrations"
	@echo "make bench   messages a second against bare stomp.py; ARGS=... goes to the benchmark"

# exec: a signal sent to make or to the terminal reaches the one process that ends all others.
demo: $(VENV)/.run-installed
	@exec $(BIN)/python manage.py demo $(ARGS)

test: $(VENV)/.dev-installed
	@exec $(BIN)/python -m pytest $(ARGS)

fast: $(VENV)/.dev-installed
	@exec $(BIN)/python -m pytest -n auto -m "not (broker or browser or slow or long)" $(ARGS)

lint: $(VENV)/.dev-installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run

bench: $(VENV)/.dev-installed
	@exec $(BIN)/python -m bench $(ARGS)

clean:
	rm -rf $(VENV)

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 found: install one, or name it with PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than Python 3.11: name a newer one with PYTHON=..." >&2; exit 1; }
	@echo "Making $(VENV) with $(PYTHON) ..."
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	@$(PIP) install --upgrade "pip>=25.3"
	@touch $@

$(VENV)/.run-installed: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing what the console needs ..."
	@$(INSTALL) --editable .
	@touch $@

$(VENV)/.dev-installed: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing what the console, its tests and checks need ..."
	@$(INSTALL) --editable ".[redis,postgres]" --group test --group lint
	@touch $@ $(VENV)/.run-installed
