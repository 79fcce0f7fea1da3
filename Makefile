# make demo: install, generate, score, report.   make test: install, check everything.
# make docs: the documentation as a site, in build/site.
# make check: the same without the slow tests.   make coverage: which lines the tests reach.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# A process for each core, at most four as each takes 1 GB; conftest.py gives each one thread.
PYTEST := $(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal

# Types are checked on one core while kernels compile on another.
MAKEFLAGS += --jobs=2

.PHONY: demo test check docs lint kernels coverage install clean
demo: $(VENV)/installed
	$(BIN)/smot generate mnist --digits mnist-5k --max-digits 12 --n-train 0 --n-val 100 --n-test 50 --out data/demo.h5 --force
	$(BIN)/smot baseline conncomp --data data/demo.h5 --out results/demo

test: lint kernels
	$(PYTEST)

check: lint kernels
	$(PYTEST) -m "not slow"

# Compile what most tests need once, before each of their processes would.
kernels: $(VENV)/installed-test
	$(BIN)/python -m tests.kernels

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

coverage: $(VENV)/installed-test
	$(BIN)/pytest --cov --cov-report=term:skip-covered

# Strict: a link that leads nowhere, or a page that is not in the menu, is an error.
docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --editable .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --editable '.[test,tensorboard]'
	touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/python -m pip install --editable '.[docs]'
	touch $@

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
