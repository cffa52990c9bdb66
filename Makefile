# Every command that the project has; `make help` lists them. CI runs the same.
STATE   ?= /var/lib/stackmedic-demo
VENV    ?= .venv
PY       = $(VENV)/bin/python
export PATH := $(CURDIR)/$(VENV)/bin:$(STATE)/bin:$(PATH)
export STACKMEDIC_STATE := $(STATE)

HISTORIES ?= 10000

.PHONY: help venv tools images check fix unit simulate contract integration browser screenshots chromium e2e test demo demo-down bench docs lock dashboards pictures golden mutants

help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(VENV)/.ready  ## the virtual environment with the locked dependencies
$(VENV)/.ready: requirements-dev.lock pyproject.toml
	@python3 -m venv $(VENV) 2>/dev/null || (apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null && python3 -m venv --clear $(VENV))
	@echo "installing the locked dependencies into $(VENV)"
	@$(VENV)/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(VENV)/bin/pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

tools: venv  ## promtool, amtool, prometheus and alertmanager, unpacked into $(STATE)/bin
	@$(PY) -m demo tools

images: venv  ## the Docker engine and every image of the demo and the tests
	@$(PY) -m demo images

check: venv tools  ## every static check
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	yamllint --strict .
	promtool check rules --lint=all --lint-fatal alert_rules/rules/*.yml
	amtool check-config alert_rules/alertmanager.yml

fix: venv  ## format, and mend what ruff can mend
	ruff format .
	ruff check --fix .

unit: venv tools  ## tests that need no server
	$(PY) -m pytest tests/unit tests/golden tests/architecture tests/contract

simulate: venv  ## the remediator through HISTORIES=10000 random days; `make test` plays 300 of them
	$(PY) -m pytest tests/simulation/test_histories.py -k invariants --histories $(HISTORIES)

mutants: venv tools  ## the alert rules with one thing changed, more than 1700 times; `make test` plays one in 25
	$(PY) -m pytest tests/mutation --one-mutant-in 1 -s

integration: venv tools images  ## tests against real Docker, Postgres, Redis, nginx, Prometheus, Alertmanager
	$(PY) -m pytest tests/integration

chromium:
	@command -v chromium >/dev/null || (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null)

browser: venv tools images chromium  ## the console in Debian's Chromium, and its accessibility
	$(PY) -m pytest tests/browser

screenshots: venv chromium  ## take the pictures in docs/console again
	$(PY) -m pytest tests/browser/test_looks.py --screenshots docs/console

e2e: venv tools images  ## the whole stack: break it, see it mended; with the faults that take minutes
	$(PY) -m pytest tests/e2e --slow

test: check images chromium  ## everything; installs and starts what it needs
	$(PY) -m pytest

demo: venv  ## bring up the stack and the monitoring, break things, see each mended
	@$(PY) -m demo run

demo-down: venv  ## remove everything that `make demo` made
	@$(PY) -m demo down

bench: venv  ## speed and memory beside the exporters it replaces; QUICK=1 for a glance
	@$(PY) -m bench

docs: venv  ## generate docs/metrics.md, docs/configuration.md and docs/compatibility.md again
	@$(PY) docs/generate.py

lock: venv  ## resolve pyproject.toml into the lock files again
	$(PY) -m pip install -q uv
	$(VENV)/bin/uv pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header pyproject.toml -o requirements.lock
	$(VENV)/bin/uv pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --extra dev pyproject.toml -o requirements-dev.lock

dashboards: venv  ## generate grafana/dashboards/*.json again
	$(PY) -m grafana.generate

pictures: venv  ## draw docs/dashboards/*.png over a running `make demo`; wants node, npm, chromium, pngquant
	cd grafana/preview && npm ci && npm run build
	$(PY) -m grafana.preview.pictures

golden: venv  ## rewrite the golden files from what the code does now
	$(PY) -m pytest tests/golden tests/unit --golden-update
