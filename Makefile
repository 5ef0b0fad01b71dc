# Every target sets up what it needs first; `make` alone lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON_BIN := .venv/bin/python
LAB_STATE ?= .lab
PYTEST_ARGS ?=

# Importing Airflow makes files in AIRFLOW_HOME: keep them out of the home directory.
export AIRFLOW_HOME ?= $(CURDIR)/.lab/airflow-home
export LAB_STATE

##@ Start here
.PHONY: help setup demo
help: ## List the commands
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv and .venv-tools from the locked requirements (PYTHON=… chooses the interpreter)
	@scripts/setup.sh

demo: .ready ## Play one case from finding to report on this machine, then stop
	@$(PYTHON_BIN) -m lab.demo

##@ The lab
.PHONY: up down status
up: .ready ## Start the lab and Airflow, and leave them running
	@$(PYTHON_BIN) -m lab.stack up

down: .ready ## Stop what `make up` started
	@$(PYTHON_BIN) -m lab.stack down

status: .ready ## Show what runs and where its logs are
	@$(PYTHON_BIN) -m lab.stack status

##@ Quality
.PHONY: memory-check guest
memory-check: .ready ## Judge 50 memory captures and time the sender
	@PYTHONPATH=plugins $(PYTHON_BIN) -m lab.memory_check $(MEMORY_CHECK_ARGS)

guest: .ready ## Capture the memory of a real guest under QEMU
	@PYTHONPATH=plugins $(PYTHON_BIN) -m lab.guest

.PHONY: test test-e2e lint bench
test: .ready ## Run all tests, the end-to-end ones last (PYTEST_ARGS="-k custody" for a part)
	@echo "[test] pytest -q --durations=10 $(PYTEST_ARGS)"
	@$(PYTHON_BIN) -m pytest -q --durations=10 $(PYTEST_ARGS)

test-e2e: .ready ## Boot the lab and Airflow and play the cases, happy and failing, from outside
	@$(PYTHON_BIN) -m pytest -q -m e2e --timeout 900 tests/e2e

lint: .ready ## Check style, types and the direction of imports
	@echo "[lint] ruff: rules"; .venv/bin/ruff check .
	@echo "[lint] ruff: format"; .venv/bin/ruff format --check .
	@echo "[lint] import-linter: docs/architecture.md's rooms"; PYTHONPATH=plugins .venv/bin/lint-imports --no-cache
	@echo "[lint] mypy: plugins/forensics"; .venv/bin/mypy

bench: .ready ## Measure the pipeline in the lab
	@$(PYTHON_BIN) -m lab.bench

##@ Upkeep
.PHONY: documents lock clean .ready
documents: .ready ## Pin names and hashes of ssm_documents/ anew, after a document has changed
	@$(PYTHON_BIN) scripts/documents_manifest.py

lock: .ready ## Write requirements/*.lock anew (UPGRADE=1 for newer versions, CONSTRAINTS=file-or-URL)
	@scripts/lock.sh

clean: ## Delete environments, caches and lab states (stop the lab first)
	@if [ -x $(PYTHON_BIN) ]; then $(PYTHON_BIN) -m lab.stack down; fi
	rm -rf .venv .venv-tools .venv-bootstrap .lab .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.ready:
	@scripts/setup.sh --quiet
