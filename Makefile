# Every target that needs Python makes .venv first, from the lock; `make help` explains them.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PEERS := floor sql trigrams splink_recipe token_set
RULE_PEERS := asv otava
ALL_PEERS := $(PEERS) $(RULE_PEERS)
# Options for the benchmarks, such as BENCH='--repeats 3 --awards 10000 --recipients 100000'
BENCH ?=

.DEFAULT_GOAL := help
.PHONY: help install run test lint types bench bench-peers bench-real refit bench-scaling bench-causes bench-detection bench-overhead bench-cluster bench-memory bench-reading bench-kills bench-refresh rules trials format lock lock-peers clean $(ALL_PEERS:%=peer-%)

help:  ## Show what each target does
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

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

bench: $(READY) peer-floor  ## Measure the matcher and the whole pipeline at full size beside their floor, and how right they are
	$(BIN)/python -m benchmarks.match_full_size $(BENCH)

trials: $(READY)  ## Try the quality gates on simulated histories and on bad months (takes about two minutes)
	$(BIN)/python -m benchmarks.gate_histories
	$(BIN)/python -m benchmarks.bad_months

bench-peers: $(READY)  ## Measure the matcher beside other tools, on the same files, judged by the same code
	-$(MAKE) --keep-going $(PEERS:%=peer-%)
	$(BIN)/python -m benchmarks.compare_peers $(BENCH)

bench-real: $(READY)  ## Measure how right links are on real files of yours: AWARDS=, RECIPIENTS=, PAIRS=
	$(BIN)/python -m benchmarks.real_pairs --awards $(AWARDS) --recipients $(RECIPIENTS) --pairs $(PAIRS) $(BENCH)

refit: $(READY)  ## Fit the matcher's weights anew on real files of yours, beside the shipped ones: AWARDS=, RECIPIENTS=, PAIRS=
	$(BIN)/python -m benchmarks.refit --awards $(AWARDS) --recipients $(RECIPIENTS) --pairs $(PAIRS) $(BENCH)

bench-reading: $(READY)  ## Measure how fast each kind of file is read, beside pyarrow reading the same file
	$(BIN)/python -m benchmarks.reading $(BENCH)

bench-kills: $(READY)  ## Kill a hundred runs at random moments and see whether each one recovers (about half an hour)
	$(BIN)/python -m benchmarks.kill_loop $(BENCH)

bench-refresh: $(READY)  ## Measure what a file of awards costs of which 1 % has changed
	$(BIN)/python -m benchmarks.refresh $(BENCH)

bench-scaling: $(READY)  ## Measure how time and memory grow with the number of awards and of recipients
	$(BIN)/python -m benchmarks.scaling $(BENCH)

bench-cluster: $(READY)  ## Measure what a Dask cluster costs beside threads, and lose a worker on the way
	$(BIN)/python -m benchmarks.cluster $(BENCH)

bench-causes: $(READY)  ## Inject causes of a slow-down for real and see whether they are named (about half an hour)
	$(BIN)/python -m benchmarks.causes $(BENCH)

bench-detection: $(READY)  ## Measure how often `bench` is wrong on this machine (takes about half an hour; goes on where it stopped)
	$(BIN)/python -m benchmarks.detection $(BENCH)

bench-overhead: $(READY)  ## Measure what the meter costs: the same work with it and without it, in turns
	$(BIN)/python -m benchmarks.overhead $(BENCH)

bench-memory: $(READY)  ## Measure match and run with the memory of every process capped, and compare their bytes
	$(BIN)/python -m benchmarks.bounded_memory $(BENCH)

$(ALL_PEERS:%=peer-%): peer-%: .venv-peers/%/.ready

.venv-peers/%/.ready: benchmarks/peers/%.lock
	rm -rf .venv-peers/$*
	$(PYTHON) -m venv .venv-peers/$*
	.venv-peers/$*/bin/python -m pip install --quiet --require-hashes --requirement $< || \
		{ echo "The environment of the peer '$*' could not be made: is pip's index reachable? 'make peer-$*' tries again." >&2; exit 1; }
	touch $@

lock-peers: $(READY)  ## Choose the peers' newest versions anew and write benchmarks/peers/*.lock
	$(BIN)/python -m pip install --quiet uv
	for peer in $(ALL_PEERS); do \
		$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
			--no-emit-find-links --no-header --quiet --upgrade benchmarks/peers/$$peer.in \
			--output-file benchmarks/peers/$$peer.lock || exit 1; \
	done

rules: $(READY)  ## Measure how often the rule for regressions is wrong, on simulated series, beside other rules, asv and Otava
	-$(MAKE) --keep-going $(RULE_PEERS:%=peer-%)
	$(BIN)/python -m benchmarks.regression_rules $(BENCH)

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
