# Provenance. Each target first sets up its own environment; `make help` lists them.
# Works with GNU make 3.81 or newer and a POSIX sh, on Linux and macOS.

.DEFAULT_GOAL := help
.PHONY: help demo stop test check serve bench setup lock format

# The first Python that is new enough; name another one with `make PYTHON=/path/to/python3.12 ...`.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python; do \
	if $$p -c '$(NEW_ENOUGH)' 2>/dev/null; then echo $$p; exit; fi; done; echo python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready.stamp
LOG := $(VENV)/setup.log
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

# One process a core; torch with more than one thread a process is slower and not repeatable when cores are shared.
WORKERS ?= 2
ARGS ?=
TEST_ENVIRONMENT := OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false

# $(call step,WHAT,COMMAND): one line with a dot every few seconds; the log's end is shown only if the command fails.
define step
@printf '%s ' '$(1)'; \
(while sleep 3; do printf .; done) & dots=$$!; \
trap 'kill $$dots 2>/dev/null' EXIT; trap 'exit 130' INT TERM HUP; \
if ( $(2) ) > $(LOG) 2>&1; then echo ' done'; \
else echo ' failed'; tail -n 40 $(LOG) >&2; echo 'The whole log is in $(LOG).' >&2; exit 1; fi
endef

help: ## this list
	@echo 'Provenance: make TARGET. The first call sets up $(VENV) by itself.'
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-7s %s\n", $$1, $$2 }' Makefile

demo: $(READY) ## the whole way once: teacher, capture, gate, release, student, report, dashboard
	@$(BIN)/provenance demo $(ARGS)

stop: ## end the service that the demo left running
	@lock="$${PROVENANCE_DATA_DIR:-data/demo}/service.lock"; \
	pid=$$(sed -n 's/.*"pid":\([0-9]*\).*/\1/p' "$$lock" 2>/dev/null); \
	if [ -n "$$pid" ] && ps -p "$$pid" -o command= | grep -q provenance && kill "$$pid"; then echo 'The service ends.'; else echo 'No service of the demo runs.'; fi

test: $(READY) ## all tests, on SQLite and PostgreSQL (ARGS="-k merkle" picks some; WORKERS=2 processes)
	@$(TEST_ENVIRONMENT) $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

check: $(READY) ## lint, format, strict types, and the rules of the source tree
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(TEST_ENVIRONMENT) $(BIN)/python -m pytest -q tests/test_tree.py

serve: $(READY) ## the service and its dashboard on http://127.0.0.1:8000 (ARGS="--port 8010")
	@$(BIN)/provenance serve $(ARGS)

bench: $(READY) ## the benchmarks, each beside its baseline in the same run
	@$(BIN)/python -m benchmarks $(ARGS)

setup: $(READY) ## only the environment
	@echo "The environment in $(VENV) is ready."

format: $(READY) ## put the source in the form that check asks for
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: $(READY) ## resolve requirements.lock again from pyproject.toml (ARGS="--upgrade-package fastapi")
	@echo 'Resolving every extra for requirements.lock; pins that still fit are kept. This takes about a minute.'
	@cp requirements.lock $(VENV)/resolved.txt
	@$(BIN)/pip-compile --quiet --all-extras --strip-extras --allow-unsafe --no-header --no-annotate \
		--output-file $(VENV)/resolved.txt $(ARGS) pyproject.toml >/dev/null
# Of a resolve on one machine only what holds on every machine is kept: names and versions, no option lines,
# no local build of torch and nothing that only a CUDA build of it brings.
	@sed -n -e 's/+[a-z0-9]*$$//' -e '/^nvidia-ml-py==/p' -e '/^nvidia-/d' -e '/^cuda-/d' -e '/^triton==/d' -e '/^pip==/d' \
		-e '/^[a-z0-9]/p' $(VENV)/resolved.txt > requirements.lock
	@echo "requirements.lock: $$(grep -c == requirements.lock) packages"

# If we stop anywhere here the stamp is missing and the next call goes on; what pip has done already is quick to redo.
# torch comes first and by its exact version, so that no other package can choose a build of it.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c '$(NEW_ENOUGH)' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed, and $(PYTHON) is: $$($(PYTHON) --version 2>&1)." >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 2; }
	@test -x $(BIN)/python || { echo "Making $(VENV) with $$($(PYTHON) --version)"; \
		$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo 'python -m venv failed; on Debian: apt-get install python3-venv' >&2; exit 2; }; }
	$(call step,[1/3] PyTorch (0.2 GB; with CUDA several; 1-5 minutes),$(PIP) install "$$(grep '^torch==' requirements.lock)")
	$(call step,[2/3] The other packages (0.6 GB; 2-4 minutes),$(PIP) install -r requirements.lock)
	$(call step,[3/3] Provenance itself (seconds),$(PIP) install --no-deps --no-build-isolation -e .)
	@touch $(READY)
