# Everything that a developer does with 4Auth. `make help` lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
MODELS := .cache/models
MODELS_ARCHIVE ?=
PYTEST_ARGS ?=
LOAD_ARGS ?=

# onnxruntime's wheel writes a device id to the disk when imported, unless told not to.
export ORT_DISABLE_TELEMETRY := 1
export PYTHONUNBUFFERED := 1

READY := $(VENV)/.ready
MODELS_READY := $(MODELS)/.ready

.PHONY: help
help: ## List what can be made
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

.PHONY: venv
venv: $(READY) ## Make .venv with the locked releases (PYTHON=... chooses the interpreter)

$(READY): requirements/dev.txt requirements/picamera2.txt pyproject.toml scripts/make_venv.sh
	@VENV=$(VENV) PYTHON="$(PYTHON)" scripts/make_venv.sh
	@touch $@

.PHONY: models
models: $(MODELS_READY) ## Fetch the face models into .cache/models (MODELS_ARCHIVE=file.tgz takes them from a file)

$(MODELS_READY): auth_vision/models.py | $(READY)
	@echo "Fetching the face models into $(MODELS)"
	@$(BIN)/4auth-provision models fetch --folder $(MODELS) $(if $(MODELS_ARCHIVE),--archive "$(MODELS_ARCHIVE)")
	@touch $@

.PHONY: test
test: $(READY) $(MODELS_READY) lint types imports tests ## Run every check and every test

.PHONY: lint
lint: $(READY) ## Check style and format
	@echo "ruff"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .

.PHONY: types
types: $(READY) ## Check types (mypy, strict)
	@echo "mypy"
	@$(BIN)/mypy

.PHONY: imports
imports: $(READY) ## Check which package may import which
	@echo "import-linter"
	@$(BIN)/lint-imports --no-logo

.PHONY: tests
tests: $(READY) $(MODELS_READY) ## Run the tests alone (PYTEST_ARGS='-k lockout' chooses)
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

.PHONY: tests-postgresql
tests-postgresql: $(READY) $(MODELS_READY) ## The tests of server, provisioning and all together, with every store on PostgreSQL (an hour)
	@FOURAUTH_STORE=postgresql $(BIN)/python -m pytest $(PYTEST_ARGS) tests/auth_server tests/provisioning tests/e2e

.PHONY: nightly
nightly: $(READY) $(MODELS_READY) ## Search for longer: the model of all actions, the wire, mixed load, chaos, every sequence
	@FOURAUTH_NIGHTLY=1 FOURAUTH_LOAD_S=600 FOURAUTH_CHAOS_S=600 $(BIN)/python -m pytest -s -o faulthandler_timeout=7200 --hypothesis-profile=nightly \
		tests/auth_server/pipeline/test_model.py tests/auth_server/gateway/test_fuzz.py tests/e2e/test_mixed_load.py \
		tests/e2e/test_chaos.py tests/auth_server/face/test_every_sequence.py

.PHONY: drills
drills: $(READY) $(MODELS_READY) ## A deployed site: faults, new keys, good and bad releases, lost servers and databases (as root, an hour and a half)
	@FOURAUTH_DRILLS=1 $(BIN)/python -m pytest -s tests/deploy/test_*.py

.PHONY: hardware-qemu
hardware-qemu: $(READY) ## The kiosk's drivers on devices that a stock Debian kernel pretends, in QEMU
	@scripts/hardware/qemu.sh

.PHONY: hardware-libcamera
hardware-libcamera: $(READY) ## The driver picamera2 on the virtual camera of Debian testing's libcamera (as root)
	@scripts/hardware/libcamera.sh

.PHONY: demo
demo: $(READY) $(MODELS_READY) ## A throw-away site: one login granted, then one refusal for each way to fail
	@$(BIN)/python -m demo

.PHONY: run
run: $(READY) $(MODELS_READY) ## The same site left running, for a person to try
	@$(BIN)/python -m demo --serve

.PHONY: bench
bench: $(READY) $(MODELS_READY) ## Measure; prints a table and writes JSON
	@$(BIN)/python -m bench

.PHONY: load
load: $(READY) $(MODELS_READY) ## 1 to 256 kiosks at one, two and three servers, and a plot (as root, twenty minutes; LOAD_ARGS=--quick)
	@$(BIN)/python -m bench.load $(LOAD_ARGS)

.PHONY: soak
soak: $(READY) $(MODELS_READY) ## 500 people at a kiosk with each screen: memory, threads, open files, writes (20 minutes)
	@$(BIN)/python -m scripts.soak

.PHONY: screens
screens: $(READY) ## Draw what people see at each step into docs/screens
	@$(BIN)/python -m demo.screens

.PHONY: format
format: $(READY) ## Put the sources into the project's format
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

.PHONY: lock
lock: $(READY) ## Write requirements/*.txt anew (UPGRADE=1 takes newer releases)
	@UPGRADE="$(UPGRADE)" scripts/lock.sh

.PHONY: check-wheels
check-wheels: $(READY) ## Ask whether each locked release has wheels for x86-64 and aarch64
	@scripts/check_wheels.sh

.PHONY: wheelhouse
wheelhouse: $(READY) $(MODELS_READY) ## Fetch what hosts are installed from, without the internet there (TARGETS='debian-12-x86_64' chooses)
	@$(BIN)/python -m scripts.wheelhouse --models $(MODELS) $(TARGETS)

.PHONY: deploy-lint
deploy-lint: $(READY) ## Check the playbooks and roles (ansible-lint, production profile, and yamllint)
	@scripts/deploy_venv.sh
	@cd ansible && HOME=$(CURDIR)/.cache/deploy PATH="$(CURDIR)/.cache/deploy/venv/bin:$$PATH" ansible-lint --offline -q
	@cd ansible && $(CURDIR)/.cache/deploy/venv/bin/yamllint --strict .

.PHONY: deploy-debian-13
deploy-debian-13: $(READY) $(MODELS_READY) ## The deployment's tests on hosts of Debian 13 (as root)
	@scripts/deploy/elsewhere.sh debian-13

.PHONY: deploy-arm64
deploy-arm64: $(READY) $(MODELS_READY) ## The kiosk's role on a host of aarch64, as a Pi is (as root)
	@scripts/deploy/elsewhere.sh arm64

.PHONY: deploy-qemu
deploy-qemu: $(READY) $(MODELS_READY) ## A server with its own kernel, disk and clock: true power cuts in 500 logins (as root, an hour)
	@scripts/deploy/elsewhere.sh qemu

.PHONY: catalogues
catalogues: $(READY) ## Bring the kiosk's languages up to date; names what has no translation
	@$(BIN)/python -m scripts.catalogues

.PHONY: licences
licences: $(READY) ## Write docs/licences.md anew from what is installed
	@$(BIN)/python scripts/licences.py docs/licences.md

.PHONY: clean
clean: ## Remove what tools left behind
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

.PHONY: clean-all
clean-all: clean ## Remove the environment and the models as well
	@rm -rf $(VENV) .cache
