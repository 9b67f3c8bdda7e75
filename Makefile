# Every target that needs Python makes .venv first, from the lock; `make help` explains them.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help install run test lint types bench trials format lock clean

help:  ## Show what each target does
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: $(READY)  ## Make .venv from requirements.lock and install the package into it

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $(READY)

run: $(READY)  ## Run the whole pipeline on the synthetic sample and say where the reports are
	$(BIN)/sbir-toolkit run params/sample.yml

test: $(READY)  ## Run all tests
	$(BIN)/python -m pytest

lint: $(READY)  ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## Check types
	$(BIN)/mypy

bench: $(READY) .venv-peers/.ready  ## Measure the matcher at full size beside its floor (takes about ten minutes)
	$(BIN)/python benchmarks/match_full_size.py

trials: $(READY)  ## Try the quality gates on simulated histories and on bad months (takes about two minutes)
	$(BIN)/python benchmarks/gate_histories.py
	$(BIN)/python benchmarks/bad_months.py

.venv-peers/.ready: benchmarks/requirements.lock
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --requirement benchmarks/requirements.lock
	touch .venv-peers/.ready

format: $(READY)  ## Put the code into the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(READY)  ## Choose the newest versions anew and write requirements.lock
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --extra dev --generate-hashes --no-emit-index-url \
		--no-emit-find-links --quiet --upgrade pyproject.toml --output-file requirements.lock

clean:  ## Remove .venv and caches; outputs/ stays
	rm -rf .venv .venv-peers .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
