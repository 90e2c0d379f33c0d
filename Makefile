# Shardmill. `make` alone prints the targets; every target that needs the environment sets it up first.
.DEFAULT_GOAL := help
.PHONY: help setup demo mix check format test test-cluster bench package clean

PYTHON ?= python3
ROOT ?= data
BIN := .venv/bin
SETUP := .venv/.done
PEERS := .venv/peers/.done

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(SETUP) ## .venv with pinned versions, and Java where there is none

$(SETUP): pyproject.toml constraints.txt .ci/setup
	@PYTHON="$(PYTHON)" bash .ci/setup

demo: $(SETUP) ## gather text of this machine, prepare the mix `demo`, train on it, stop, resume, compare
	@$(BIN)/python examples/gather.py --to data/raw
	@$(BIN)/python jobs/mix.py --mix demo --root "$(ROOT)"
	@$(BIN)/python examples/prove_resume.py --mix "$(ROOT)/mixes/demo"

mix: $(SETUP) ## MIX=<name in mixes/ or path of a recipe> ROOT=<folder or URL>: make a mix, whatever is missing of it
	@test -n "$(MIX)" || { echo "which mix? make mix MIX=demo, or MIX=path/to/recipe.yaml; recipes here: $(notdir $(basename $(wildcard mixes/*.yaml)))"; exit 2; }
	@$(BIN)/python jobs/mix.py --mix "$(MIX)" --root "$(ROOT)"

check: $(SETUP) ## formatting, lint, types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(SETUP) ## rewrite what `make check` says of formatting and lint
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

test: $(SETUP) ## all tests but those on clusters, in two processes
	@$(BIN)/python -m pytest -n 2 --dist loadgroup

test-cluster: $(SETUP) ## tests on Spark standalone clusters, killed or bare, and Spark Connect; ROUNDS=20 for the long run
	@$(BIN)/python -m pytest tests/cluster -o log_cli=true -o log_cli_level=INFO

bench: $(SETUP) $(PEERS) ## side by side with the peers
	@$(BIN)/python -m bench

$(PEERS): bench/peers.txt | $(SETUP)
	@echo "installing peers into .venv/peers (pinned versions; half a minute) …"
	@$(BIN)/python -m venv --clear .venv/peers
	@.venv/peers/bin/pip install -q --disable-pip-version-check --no-deps -r bench/peers.txt
	@touch $(PEERS)

package: $(SETUP) ## in dist/: the wheel, and an archive of all packages for `spark-submit --archives`; WITH="gcsfs" for more
	@$(BIN)/python .ci/package.py dist $(WITH)

clean: ## remove the environment and caches (not data/)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
