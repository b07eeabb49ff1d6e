# Everything here sets up what it needs first; nothing but Python 3.11 to 3.13 and make has to be there.

PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python
STAMP := .venv/.installed

.PHONY: help setup demo up stop reset test check bench soak

help:
	@echo "make demo    a running Tollgate with demo data; Ctrl-C stops it (HOST and PORT place it)"
	@echo "make test    all tests (ARGS='-k name' for some)"
	@echo "make check   lint, types, layers, budgets, migrations, OpenAPI"
	@echo "make bench   benchmarks; names as further words, e.g. make bench ingest charge"
	@echo "make soak    ten minutes of everything at once while processes are killed (SOAK_SECONDS, SOAK_SEED)"
	@echo "make up      the same as demo, without demo data"
	@echo "make stop    stop what a command has left running"
	@echo "make reset   stop, and empty the embedded database"
	@echo "make setup   only the virtual environment"

setup: $(STAMP)

$(STAMP): requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 14) or sys.exit("Tollgate needs Python 3.11, 3.12 or 3.13; $(PYTHON) is " + sys.version.split()[0] + ". Say make PYTHON=python3.12, for example.")'
	@echo "Setting up the virtual environment .venv"
	@$(PYTHON) -m venv .venv || { echo "Python's venv module is missing; install it (on Debian: the package python3-venv)."; rm -rf .venv; exit 1; }
	@echo "Installing the pinned packages (about a minute the first time)"
	@$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

demo: setup
	@exec env TOLLGATE_DEMO=1 $(RUN) manage.py up

up: setup
	@exec $(RUN) manage.py up

stop: setup
	@exec $(RUN) manage.py down

reset: setup
	@exec $(RUN) manage.py reset

test: setup
	@$(RUN) -m pytest -n auto $(ARGS)

check: setup
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy .
	$(BIN)/lint-imports
	$(RUN) -m pytest -q tests/architecture
	$(RUN) manage.py makemigrations --check --dry-run
	$(RUN) manage.py spectacular --validate --fail-on-warn --file var/openapi.yaml

# `make bench ingest charge`: the words after bench are names, not targets.
ifeq (bench,$(firstword $(MAKECMDGOALS)))
NAMES := $(wordlist 2,$(words $(MAKECMDGOALS)),$(MAKECMDGOALS))
.PHONY: $(NAMES)
$(NAMES): bench ; @:
endif

bench: setup
	@$(RUN) -m benchmarks $(NAMES)

soak: setup
	@exec $(RUN) -m tests.soak
