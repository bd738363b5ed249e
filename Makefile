# Every target sets up what it needs; only python3 (3.11 or newer) has to be there.

PYTHON ?= python3
BIN := .venv/bin
PIP_QUIET := --quiet --disable-pip-version-check --no-input

.DEFAULT_GOAL := help
.PHONY: help setup native demo test coverage fuzz check check-python check-native format bench docs catalog \
  lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: .venv/.ready ## make .venv with the locked tools, the package and, where cargo is, its wheel in Rust
	@$(NATIVE) .venv

native: .venv/.ready ## build and install that wheel, polyvox-native; fails if that fails
	@$(NATIVE) --insist .venv .venv-bench

NATIVE := $(BIN)/python tools/make_native.py

demo: setup ## a streamed answer, a tool call, their cost, and the gateway, without any key
	@$(BIN)/python examples/demo.py

test: setup .venv-bench/.ready .node/.ready ## run all tests
	@$(NATIVE) .venv-bench
	@$(BIN)/python -m pytest -n auto --dist worksteal $(COVER) --cov-report=
	@if $(BIN)/python -c 'import polyvox_native' 2>/dev/null; then \
	  echo "Once more, without polyvox-native: $(EITHER_WAY)"; POLYVOX_TRANSPORT=aiohttp \
	  $(BIN)/python -m pytest -n auto --dist worksteal $(EITHER_WAY) $(STREAMS); fi
	@.venv-bench/bin/python -m pytest -W default -n auto --dist loadfile $(LITELLM_TESTS) \
	  $(COVER) --cov-append --cov-report=term

# It takes half as long again, and so is no part of every run.
coverage: ## run all tests, and report which lines they reach
	@$(MAKE) --no-print-directory test COVER=--cov

# What the native wheel has a part in, run with it and without; tests/transport does both by itself.
# Of a dialect's own laws (not those of tests/conformance) that are the ones of streams.
EITHER_WAY := tests/client tests/clients tests/chaos tests/conformance \
  tests/dialects/test_*_laws.py tests/dialects/test_*_over_http.py \
  tests/dialects/test_event_frames.py tests/dialects/test_sse.py tests/dialects/test_gemini_server.py \
  tests/providers/test_fetching.py tests/providers/test_provider_model.py \
  tests/providers/test_schema_detour.py tests/providers/test_whole_answers.py
STREAMS := -k "test_laws or not (as_it_was_written_always or a_whole_answer_is_read)"

# LiteLLM and the newest openai SDK exclude each other: what needs LiteLLM runs where it is. Its
# warnings are its own; as errors they would change what it does.
LITELLM_TESTS := tests/providers/test_litellm.py tests/cli/test_litellm.py \
  tests/integrations/test_litellm*.py \
  "tests/docs/test_pages.py::test_the_code_of_a_page_runs[docs/composites-in-litellm.md]" \
  "tests/docs/test_pages.py::test_the_code_of_a_page_runs[docs/choose-a-provider.md]"

fuzz: native ## what is tried at random, much longer: readers of streams, then whatever hypothesis draws
	@$(BIN)/python tools/fuzz_frames.py
	@POLYVOX_FUZZ=10 $(BIN)/python -m pytest -n auto --dist worksteal --timeout 3600 -m hypothesis

check: check-python check-native ## formatting, lint, types, floors; the crate's too, where cargo is

check-python: setup
	@$(BIN)/ruff format --check --quiet . || { echo "Not formatted: run 'make format'."; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/pyright
	@$(BIN)/lint-imports --no-logo --no-cache

check-native: setup
	@$(NATIVE) --check

format: setup ## format and apply safe fixes
	@$(BIN)/ruff check --quiet --fix . || true
	@$(BIN)/ruff format .
	@if command -v cargo >/dev/null; then cd native && cargo fmt; fi

bench: setup .venv-bench/.ready .venv-peers/.ready ## measure against peers, in one run
	@$(NATIVE) .venv-bench
	@LITELLM_LOCAL_MODEL_COST_MAP=True .venv-bench/bin/python -m bench

docs: setup ## rewrite the parts of docs/ that are made from data
	@$(BIN)/python tools/make_docs.py

catalog: setup ## rebuild the snapshot of models and prices
	@$(BIN)/python tools/make_catalog.py

lock: .venv-lock/bin/uv ## renew requirements-*.lock
	@$(LOCK) --extra cli --extra testing --group dev -o requirements-dev.lock
	@$(LOCK) --extra cli --extra litellm --group bench -o requirements-bench.lock
	@$(LOCK) --group peers -o requirements-peers.lock

LOCK := .venv-lock/bin/uv pip compile pyproject.toml --quiet --upgrade --universal \
  --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
  --custom-compile-command "make lock"

.venv-lock/bin/uv:
	@$(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/python -m pip install $(PIP_QUIET) uv

# The reference server of MCP is an npm package. Without npm its tests are skipped, and say so.
.node/.ready: tests/node/package.json tests/node/package-lock.json
	@mkdir -p .node && cp tests/node/package*.json .node/
	@if command -v npm >/dev/null; then \
	  cd .node && npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --silent; \
	else echo "npm is not there: some tests of MCP will be skipped"; fi
	@touch .node/.ready

clean: ## remove environments, caches and builds
	@rm -rf .venv .venv-bench .venv-peers .venv-lock .node .pytest_cache .ruff_cache \
	  .import_linter_cache .hypothesis .coverage .coverage.* htmlcov build dist native/target
	@find bench docs examples src tests tools -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# $(1): what is being made, $(2): its lock
define make_venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Polyvox needs Python 3.11 or newer: make PYTHON=python3.x ..."; exit 1; }
	@echo "Setting up $(1) from $(2) ..."
	@test -x $(1)/bin/pip || $(PYTHON) -m venv --clear $(1) \
	  || { echo "python3 cannot make environments here; on Debian: apt install python3-venv"; exit 1; }
	@$(1)/bin/python -m pip install $(PIP_QUIET) --require-hashes -r $(2)
	@$(1)/bin/python -m pip install $(PIP_QUIET) --no-deps --no-build-isolation -e .
	@touch $(1)/.ready
endef

.venv/.ready: pyproject.toml requirements-dev.lock
	$(call make_venv,.venv,requirements-dev.lock)

.venv-bench/.ready: pyproject.toml requirements-bench.lock
	$(call make_venv,.venv-bench,requirements-bench.lock)

.venv-peers/.ready: pyproject.toml requirements-peers.lock
	$(call make_venv,.venv-peers,requirements-peers.lock)
