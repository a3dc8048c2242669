# `make` alone lists the targets. Settings of the service pass through: make run KANJO_PORT=9000

PYTHON ?= python3
# The usual index serves torch for CUDA on Linux (several GB). A CPU build comes from
#   make install TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=

BIN := .venv/bin
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help install lock run demo train study study-smoke format lint test test-fast test-faults test-docker bench screenshots vendor clean tools

index = $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

# $(call packages,names): installs Debian packages, or says in one line what to type, and stops.
define packages
	root=(); if [[ $$(id -u) == 0 ]]; then root=(env); elif sudo -n true 2>/dev/null; then root=(sudo -n); fi; \
	if (( ! $${#root[@]} )) || ! command -v apt-get >/dev/null; then \
	  echo "missing: $(1); install with: sudo apt-get install $(1)" >&2; exit 1; \
	fi; \
	"$${root[@]}" apt-get update -qq && \
	"$${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1) >/dev/null
endef

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/installed ## make .venv with everything in it, when pyproject.toml is newer

.venv/installed: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or newer is needed, {sys.executable} is {sys.version.split()[0]}")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { $(call packages,python3-venv); }
	@echo "1 of 3: a virtual environment, .venv, with Python $$($(PYTHON) -c 'import platform; print(platform.python_version())')"
	@$(PYTHON) -m venv .venv
	@echo "2 of 3: pip"
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1' # older ones know no dependency groups
	@echo "3 of 3: what Kanjo needs: 2 GB on the disk with torch for the CPU, several with CUDA; this takes minutes"
	@$(BIN)/pip install --progress-bar off $(index) --constraint requirements.lock --editable '.[training]' --group dev \
	  | { grep --line-buffered -E '^ *(Downloading|Installing collected|Successfully)' | cut -c1-100 || true; }; \
	  exit $${PIPESTATUS[0]}
	@touch $@

lock: ## write requirements.lock anew, with the newest versions that pyproject.toml allows
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	build/lock/bin/pip install --quiet $(index) --editable '.[training]' --group dev
	build/lock/bin/pip freeze --exclude-editable | sed -e 's/+[a-z0-9]*$$//' -e '/^\(nvidia\|triton\|cuda\)/d' > requirements.lock

run: install ## serve at KANJO_HOST:KANJO_PORT (127.0.0.1:8000)
	$(BIN)/kanjo serve

demo: install ## serve, and play bundled sample calls at it
	$(BIN)/kanjo demo

train: install ## train a model on the corpora at KANJO_CORPORA
	$(BIN)/kanjo train

study: install ## the paper's comparison on the corpora at KANJO_CORPORA: hours; stopped, it goes on
	$(BIN)/kanjo study training/studies/compact.toml --out runs/compact
	$(BIN)/kanjo report runs/compact

study-smoke: install ## the whole offline chain at its smallest: corpora, systems, report, alerts
	$(BIN)/pytest tests/training/test_smoke.py

format: install ## put style and imports in order
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lint: install ## style, types and import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	@command -v tsc >/dev/null || { echo "missing: tsc, which checks the page's types; install with: sudo apt-get install node-typescript" >&2; exit 1; }
	tsc --project tsconfig.json

# What the tests drive and pip cannot install: a real Redis, a real browser, node, TypeScript's checker and a real Prometheus.
# Debian's package of the last would start a server of its own, so it is unpacked into build/tools instead.
tools:
	@missing=(); \
	for tool in redis-server:redis-server chromium:chromium node:nodejs tsc:node-typescript; do \
	  command -v "$${tool%%:*}" >/dev/null || missing+=("$${tool##*:}"); \
	done; \
	if (( $${#missing[@]} )); then $(call packages,$${missing[*]}); fi
	@if [[ ! -x build/tools/usr/bin/promtool ]] && ! command -v promtool >/dev/null && command -v apt-get >/dev/null; then \
	  mkdir -p build/tools && cd build/tools && apt-get download -qq prometheus 2>/dev/null && \
	  dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb || echo "not found: prometheus; its tests are skipped" >&2; \
	fi

test: install tools lint ## all tests but those of the containers, after lint
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder # calls in real time mostly wait; long files first

test-fast: install ## the tests that need no browser, no real time, no training: under a minute
	$(BIN)/pytest -n 2 -m "not docker and not slow and not campaign" --hypothesis-profile fast

test-faults: install tools ## the whole fault campaign: disks, Redis, strangers, garbage; and the longest of all tests
	$(BIN)/pytest -m "campaign or not campaign" tests/faults tests/service/cli/test_bad_input.py
	$(BIN)/pytest -m campaign --ignore tests/faults --ignore tests/service/cli/test_bad_input.py

test-docker: install ## build, start and call the containers, with the Docker engine running
	$(BIN)/pytest -m docker tests/test_compose.py

bench: install ## measure latency and throughput on this machine
	$(BIN)/python -m tests.benchmarks

screenshots: install tools ## make the pictures of the page in docs/images
	$(BIN)/python -m tests.service.dashboard.screenshots

vendor: ## make the page's bundled libraries anew, by npm; service/dashboard/vendor/README.md names them
	rm -rf build/vendor && mkdir -p build/vendor && cp service/dashboard/vendor/entry.js build/vendor/
	cd build/vendor && npm install --silent --no-audit --no-fund preact@11.2.0 @preact/signals@2.11.4 \
	  @preact/signals-core@1.14.5 htm@3.1.1 uplot@1.6.32 esbuild@0.28.2
	cd build/vendor && npx esbuild entry.js --bundle --format=esm --minify --legal-comments=none --outfile=../../service/dashboard/vendor/preact.js
	cd build/vendor && npx esbuild node_modules/uplot/dist/uPlot.esm.js --format=esm --minify --outfile=../../service/dashboard/vendor/uplot.js
	cp build/vendor/node_modules/uplot/dist/uPlot.min.css service/dashboard/vendor/uplot.css

clean: ## remove .venv, caches and build products
	rm -rf .venv build dist *.egg-info .*_cache .hypothesis
	find service model training tests -name __pycache__ -type d -prune -exec rm -rf {} +
