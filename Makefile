# filiera: every target does its own set-up, in this folder only. Needs Python >= 3.11 with venv, make and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# without a usable home the download cache lives here
export UV_CACHE_DIR ?= $(CURDIR)/.tools/cache
export UV_LINK_MODE ?= copy
unexport VIRTUAL_ENV PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test check bench lock clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.ready  ## make the private environment from the lock (done by itself where needed)

$(VENV)/.ready: requirements.lock bootstrap.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "filiera needs Python 3.11 or newer; found: $$($(PYTHON) --version 2>&1). Name another with: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || { echo "this Python lacks the venv module (on Debian and Ubuntu: apt install python3-venv)"; exit 1; }
	@echo "setting up (once, a minute or two) ..."
	@test -x .tools/venv/bin/uv || { $(PYTHON) -m venv --clear .tools/venv && .tools/venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r bootstrap.lock; }
	@test -x $(BIN)/python || .tools/venv/bin/uv venv --quiet --python $(PYTHON) $(VENV)
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) .tools/venv/bin/uv pip sync --quiet --require-hashes --compile-bytecode requirements.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) .tools/venv/bin/uv pip install --quiet --no-deps --no-build-isolation --compile-bytecode -e .
	@$(BIN)/python -m compileall -q src
	@touch $@

demo: setup  ## the main job: the wind-farm story, from raw files to a served model
	@$(BIN)/filiera demo

test: setup  ## run all tests
	@$(BIN)/python -m pytest -n 2 -q

check: setup  ## style, types and import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup  ## run the benchmarks; results go to benchmarks/out
	@for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

lock: setup  ## renew the lock from pyproject.toml
	@.tools/venv/bin/uv lock --upgrade && .tools/venv/bin/uv export -q --frozen --all-groups --no-emit-project --no-header --no-annotate -o requirements.lock

clean:  ## remove the private environment and all caches
	@rm -rf $(VENV) .tools demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
