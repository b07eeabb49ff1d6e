# Everything here sets up what it needs first; nothing but Python 3.11+ and make has to be there.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup
setup: $(STAMP)

$(STAMP): requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit("Tollgate needs Python 3.11, 3.12 or 3.13; this is " + sys.version.split()[0] + ".") if not (3, 11) <= sys.version_info < (3, 14) else None'
	@test -x $(BIN)/python || { echo "Making a virtual environment in $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing the pinned packages (about a minute on a first run)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
