PYTHON3 ?= python3
PYTHON := .venv/bin/python
PYTEST_ARGUMENTS ?=
SEED ?= 1
CELLS ?=
STACK ?= local
# The rooms whose tests start neither emulator nor Azurite, and no service of Airflow.
QUICK := $(addprefix tests/,model biztalk flows wire house docs stack bench packaging)
# With those that run the library itself, beside an emulator, an Azurite and databases, without a stack.
IN_PROCESS := $(QUICK) $(addprefix tests/,archive biztalk_with_emulator databases drivers cli provider dags)
# Those that take minutes each.
LONG := $(addprefix tests/,field system_distributed chaos/test_sample.py emulator/test_crash.py emulator/test_fuzz.py archive/test_catalog_killed.py)
COVERAGE := .local/coverage

.DEFAULT_GOAL := help
.PHONY: help backup restore up up-distributed down status test test-long check coverage lint wheels bench chaos lock install install-tests python3

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  Ports, all on 127.0.0.1: AIRFLOW_PORT=18080 AZURITE_PORT=10000 EMULATOR_PORT=18443 EMULATOR_ADMIN_PORT=18444 EMULATOR_DATA_PORT=18445 POSTGRES_PORT=15432 REDIS_PORT=16379"

backup: install ## Start the stack, back up every sample service once, show how it went
	@$(PYTHON) -m stack backup

restore: install ## Restore a sample service to its own name, with traffic before and after, show how it went
	@$(PYTHON) -m stack restore

up: install ## Start emulator, Azurite and Airflow, and wait until they are ready
	@$(PYTHON) -m stack up

up-distributed: install ## The same with Airflow on PostgreSQL and Redis: two Celery workers, schedulers and triggerers
	@$(PYTHON) -m stack up-distributed

down: ## End what this checkout has started, and nothing else
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m stack down; else echo "Nothing is installed, so nothing runs."; fi

status: ## Show which parts run, since when, where
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m stack status; else echo "Nothing is installed, so nothing runs."; fi

test: install-tests ## Run every test but the long ones; PYTEST_ARGUMENTS=... narrows them
	@$(PYTHON) -m pytest --numprocesses 2 $(addprefix --ignore ,$(LONG)) $(PYTEST_ARGUMENTS)

test-long: install-tests ## Run the long tests: a distributed Airflow, deaths, two Airflows on one account, policies, a fleet, odd requests
	@$(PYTHON) -m pytest --numprocesses 2 $(LONG) $(PYTEST_ARGUMENTS)

check: lint ## The fast lane, in less than a minute: lint, and the tests that start no stack
	@$(PYTHON3) stack/install.py dclint
	@$(PYTHON) -m pytest --quiet --numprocesses 2 $(QUICK) $(PYTEST_ARGUMENTS)

coverage: python3 ## Which lines and branches of the library the tests reach that start no stack
	@$(PYTHON3) stack/install.py azurite dclint
	@rm -rf $(COVERAGE) && mkdir -p $(COVERAGE)
	@$(PYTHON) -m coverage run -m pytest --quiet --numprocesses 2 $(IN_PROCESS) $(PYTEST_ARGUMENTS)
	@$(PYTHON) -m coverage combine --quiet
	@$(PYTHON) -m coverage report

lint: install ## Check style, format and types
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy

wheels: install ## Build both wheels into .local/wheels: with Airflow, and the command line without it
	@rm -rf .local/wheels
	@$(PYTHON) -m hatchling build --target wheel --directory $(CURDIR)/.local/wheels
	@cd distributions/cli && $(CURDIR)/$(PYTHON) -m hatchling build --target wheel --directory $(CURDIR)/.local/wheels

bench: install ## Measure, each measurement beside its plain alternative or an earlier build
	@$(PYTHON) -m bench

chaos: install ## Kill each part at each step of a backup and a restore, check the end state; SEED=1 CELLS=20 STACK=local
	@$(PYTHON) -m chaos --stack $(STACK) --seed $(SEED) $(if $(CELLS),--cells $(CELLS))

lock: python3 ## Pin every version and hash anew, in each requirements file
	@$(PYTHON3) stack/lock.py

install: python3 ## Install what is needed, below this folder only
	@$(PYTHON3) stack/install.py azurite

install-tests: python3
	@$(PYTHON3) stack/install.py azurite chromium dclint

python3:
	@command -v $(PYTHON3) >/dev/null || { echo "python3 is missing; install Python 3.11 or newer (on Debian and Ubuntu: sudo apt-get install python3)." >&2; exit 1; }
