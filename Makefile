# `make run` and `make test` are the two commands. What each step installed is recorded under .venv/.stamps, so that a
# second run starts at once.
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check
STAMPS := $(VENV)/.stamps
WHEEL_SCRIPTS := $(addprefix scripts/,llama_wheel.py llama_plan.py llama_steps.py llama_selftest.py tiny_gguf.py \
	wheel_build.py wheel_cache.py build_progress.py build_session.py vulkan_tools.py debian_packages.py \
	cmake/llama.cmake cmake/ExternalProject.cmake)
CHECKED := tui tests scripts
TOKEN_LOOP := tui/engine/libtokenloop.so
HOOK := scripts/build_hook.py scripts/catalogue.py scripts/token_loop_build.py
TRANSLATIONS := $(wildcard tui/words/*/*.po)
# More than a few engines and apps at once would only wait for each other.
PROCESSES := --numprocesses $(if $(filter 1 2,$(shell nproc)),3,4) --dist worksteal

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run install dev test test-all pytest lint format bench screenshots clean always

help:
	@echo "make run          install everything into $(VENV) and start llmtui; ARGS=... are passed on"
	@echo "make test         check the code (ruff, mypy, import-linter) and run the tests; TESTS=... picks some"
	@echo "make test-all     the same, also all combinations of which make test tries a part, and each frame is painted"
	@echo "make lint         check the code only"
	@echo "make format       format the code"
	@echo "make bench        measure this machine with the model that you used last, or MODEL=..."
	@echo "make screenshots  make the pictures of the README anew from the running app"
	@echo "make clean        remove $(VENV) and what tools left behind; models and built wheels stay"
	@echo
	@echo "LLMTUI_BACKEND=auto|vulkan|cpu chooses what llama.cpp is built with; CMAKE_ARGS is passed on to its build."

$(STAMPS)/venv: scripts/venv.sh
	@test -x $(VENV)/bin/pip || sh scripts/venv.sh $(VENV)
	@mkdir -p $(STAMPS) && touch $@

# What is asked for by name is looked at each time; the script knows whether there is anything to do.
$(STAMPS)/llama: $(STAMPS)/venv $(WHEEL_SCRIPTS) $(if $(filter-out auto,$(LLMTUI_BACKEND))$(CMAKE_ARGS),always)
	@$(PY) scripts/llama_wheel.py $(VENV)
	@touch $@

$(STAMPS)/app: pyproject.toml $(HOOK) tui/engine/tokenloop.c $(wildcard tui/engine/*.h) $(TRANSLATIONS) $(STAMPS)/llama
	@echo "Installing llmtui and what it needs"
	@rm -f $(TOKEN_LOOP)
	@$(PIP) --editable .
	@test -f $(TOKEN_LOOP) || echo "The token loop could not be compiled and runs in Python, a little slower. With a C" \
		"compiler installed: rm $@; make install"
	@touch $@

# Dependency groups need pip 25.1, and Debian 12 has an older one.
$(STAMPS)/dev: pyproject.toml $(STAMPS)/app
	@echo "Installing the tools for development"
	@$(PIP) --upgrade 'pip>=25.1'
	@$(PIP) --group dev
	@touch $@

install: $(STAMPS)/app
dev: $(STAMPS)/dev

run: install
	@$(PY) scripts/small_model.py --before $(ARGS)
	@$(PY) -m tui $(ARGS)

# Side by side: one process of three checks the types, where it would have two cores for itself.
test: dev
	@$(MAKE) --no-print-directory --jobs 2 lint pytest

test-all: export LLMTUI_EVERY_FRAME := 1
test-all: export SELECTED := -m ""
test-all: test

pytest: dev
	@model="$$($(PY) scripts/small_model.py --cached)" && templates="$$($(PY) scripts/llama_templates.py)" && \
		LLMTUI_SMOLLM2="$$model" LLMTUI_TEMPLATES="$$templates" $(PY) -m pytest $(PROCESSES) $(SELECTED) $(TESTS)

lint: dev
	$(VENV)/bin/ruff check $(CHECKED)
	$(VENV)/bin/ruff format --check $(CHECKED)
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: dev
	$(VENV)/bin/ruff check --fix $(CHECKED)
	$(VENV)/bin/ruff format $(CHECKED)

bench: install
	@$(PY) scripts/small_model.py --before --bench $(MODEL)
	@$(PY) -m tui --bench $(MODEL)

screenshots: dev
	@$(PY) scripts/screenshots.py

clean:
	rm -rf $(VENV) $(TOKEN_LOOP) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find $(CHECKED) -name __pycache__ -type d -prune -exec rm -rf {} +
