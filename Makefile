# Everything starts here: `make demo`, `make test`, `make bench`. Each makes .venv when it needs it; `make gpu-check` takes
# what is there: .venv or the first python3 on the PATH, whichever has torch with CUDA, or the one that PYTHON names.
#   make demo ARGS="--bag drive.mcap"    ARGS go to the command behind the target
#   make demo BUNDLE=engines/monoocc-nano    another network; this one is camera-only
#   make demo PYTHON=python3.12          another interpreter for .venv

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check
LOG := $(VENV)/install.log
ARGS ?=

# On a host with its own ROS 2 (sourced: ROS_DISTRO is set) that one is used, with the Python it was built for.
# Elsewhere rclpy comes from PyPI, where it exists for Python 3.11 and 3.12.
ifdef ROS_DISTRO
ROS :=
CANDIDATES := python3
else
ROS := ros,
CANDIDATES := python3.11 python3.12 python3
endif
PYTHON ?= $(shell for p in $(CANDIDATES); do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$p && break; done)

.PHONY: help demo test bench gpu-check clean

help:
	@echo "make demo    play a synthetic drive through the real node; pictures and report in out/demo"
	@echo "make test    all tests"
	@echo "make bench   print the figures of the README and keep them in benchmarks/results"
	@echo "make docs    build the documentation into out/site"
	@echo "make gpu-check   on a machine with an NVIDIA GPU: its tests, golden samples, latency, training step (10 minutes)"
	@echo "make clean   remove .venv, out and caches"
	@echo 'Options go through ARGS, e.g. make demo ARGS="--bag drive.mcap"; another Python: PYTHON=python3.12'
	@echo 'make demo BUNDLE=engines/monoocc-nano   camera only'

demo: $(VENV)/.base
	$(BIN)/occ-node demo $(if $(BUNDLE),--bundle $(BUNDLE)) $(ARGS)

test: export ROS_PYTHON_CHECK_FIELDS := 1
test: $(VENV)/.test
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks $(ARGS)

GPU_CANDIDATES := $(if $(filter command% environment%,$(origin PYTHON)),$(PYTHON),$(BIN)/python python3)
gpu-check:
	@for p in $(GPU_CANDIDATES); do \
		$$p -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null && exec $$p -m benchmarks.gpu_check; done; \
	for p in $(GPU_CANDIDATES); do command -v $$p >/dev/null && exec $$p -m benchmarks.gpu_check; done; \
	echo "No Python found; name one: make gpu-check PYTHON=/path/to/python3"; exit 1

# $(INSTALL) "what" PACKAGES...: one line and its seconds. What pip prints goes to a log, which is shown where it fails.
# Bytecode is compiled afterwards, on all cores; files that cannot be compiled are none of ours.
define INSTALL
install() { \
	printf '==> Installing %s ... ' "$$1"; shift; local start=$$SECONDS; \
	$(PIP) --no-compile "$$@" >$(LOG) 2>&1 || { \
		echo "failed"; tail -n 25 $(LOG); echo "==> The whole log is $(LOG)"; return 1; }; \
	$(BIN)/python -m compileall -q -j 0 -x '/tests/' $(VENV)/lib >>$(LOG) 2>&1 || true; \
	echo "$$((SECONDS - start)) s"; \
}; install
endef

# One environment, three levels. An install is repeated only when pyproject.toml changed; a stamp is written last.
$(VENV)/.base: pyproject.toml | $(VENV)/bin/pip
	@$(INSTALL) "the node (about 150 MB to download, a minute)" -e '.[$(ROS)viz,synth]'
	@touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/pip
	@torch=$$($(BIN)/python -c 'import torch' 2>/dev/null || echo torch==2.13.0); \
	$(INSTALL) "the node with what training and tests need (about 350 MB to download, three minutes)" \
		$$torch -e '.[$(ROS)viz,synth,train,dev]'
	@touch $@ $(VENV)/.base

$(VENV)/.bench: pyproject.toml | $(VENV)/bin/pip
	@$(INSTALL) "the node, and OctoMap to compare with (about 150 MB to download, a minute)" -e '.[$(ROS)viz,synth,bench]'
	@touch $@ $(VENV)/.base

.PHONY: docs
docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict $(ARGS)

$(VENV)/.docs: pyproject.toml | $(VENV)/bin/pip
	@$(INSTALL) "the node and mkdocs-material (about 150 MB to download, a minute)" -e '.[$(ROS)viz,synth,docs]'
	@touch $@ $(VENV)/.base

$(VENV)/bin/pip:
	@[ -n "$(PYTHON)" ] || { echo "No Python >= 3.10 found; name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1; }
	@echo "==> Making $(VENV) with $$($(PYTHON) --version)"
	@[ -z "$(ROS)" ] || $(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' || { \
		echo "No ROS 2 is sourced here, and rclpy on PyPI is for Python 3.11 and 3.12; name one: PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) out build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
