# `make` alone lists what there is. `make demo` and `make test` set everything up that they need.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast lint types bench faults lock clean
PYTHON_BIN := .venv/bin/python
ARGS ?=

##@ Try it

demo: setup ## Play the story on a page with three chats and in this terminal, then it is yours (ARGS=--once: only the story)
	@$(PYTHON_BIN) -m bot.demo $(ARGS)

##@ Check it

test: setup ## All tests, with PostgreSQL and the sandbox (ARGS="-k words" for some)
	@tools/run-tests $(ARGS)

test-fast: setup ## Without real databases, programs and faults: about a minute
	@CODETASK_REQUIRE_POSTGRES= tools/run-tests -m "not fault and not agent and not sandbox" --deselect tests/storage -k "not postgres" $(ARGS)

lint: setup types ## Style, format, layers and types
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/lint-imports --no-cache

types: setup ## Types of the core, the services and the ports, strictly
	@.venv/bin/pyright --level error

##@ Measure it

bench: setup ## Measure what the design promises; writes build/bench.json
	@$(PYTHON_BIN) -m benchmarks $(ARGS)

faults: setup ## Kill, freeze and starve real processes, with the long counts
	@CODETASK_FAULT_ROUNDS=long tools/run-tests -m "fault or long" --timeout=1800 $(ARGS)

##@ Keep it

lock: ## Write requirements.lock anew from pyproject.toml (needs uv)
	@uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-annotate --extra all --extra dev pyproject.toml -o requirements.lock

clean: ## Remove .venv, build and caches
	@rm -rf .venv build .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## This list
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:
	@tools/setup
