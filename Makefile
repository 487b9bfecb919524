# Everything a developer or CI runs. Each target sets up what it needs in a local venv; "make" alone lists the targets.

PYTHON ?= python3
VENV ?= .venv
# What is installed into it: a group of pyproject.toml, or the requirements of a file.
GROUP ?= test
REQUIREMENTS ?=
UV := uv==0.13.9

COLLECTION := dr_runbook.veeam_em
COLLECTION_PATH := ansible_collections/dr_runbook/veeam_em
BIN := $(CURDIR)/$(VENV)/bin
DEV := $(CURDIR)/.venv/bin
PYVER = $(shell $(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
LINK := .ansible/collections/$(COLLECTION_PATH)
# ansible-test wants a real copy in its place, and a home of its own for what it would download. Each venv has its own copy,
# installed from the checkout or from an artifact, so that legs can run side by side.
SOURCE ?= .
COPY_ROOT := $(CURDIR)/.cache/ansible-test/$(VENV)
COPY := $(COPY_ROOT)/$(COLLECTION_PATH)
COPY_HOME := $(COPY_ROOT)/home
ANSIBLE_TEST = cd $(COPY) && HOME=$(COPY_HOME) ansible-test $(1) --local --python $(PYVER) --color no
INSTALLED := $(CURDIR)/.cache/installed
UNIT_TESTS ?= tests/unit
TARGETS ?=
SANITY ?=
# A line that tools/legs.py reads.
VERSIONS = @$(BIN)/python -c 'import platform; from importlib.metadata import version; \
	print("VERSIONS", version("ansible-core"), platform.python_version(), version("requests"), version("xmltodict"), flush=True)'

export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/.ansible/collections
export ANSIBLE_HOME := $(CURDIR)/.ansible
export ANSIBLE_LOCALHOST_WARNING := false
export ANSIBLE_INVENTORY_UNPARSED_WARNING := false
export PATH := $(BIN):$(PATH)
export LC_ALL := C.UTF-8
# Options from the caller's environment would change what tests and demo see.
unexport VEEAM_EM_URL VEEAM_EM_USERNAME VEEAM_EM_PASSWORD VEEAM_EM_VALIDATE_CERTS VEEAM_EM_CA_PATH
unexport VEEAM_EM_TIMEOUT VEEAM_EM_RETRIES VEEAM_EM_API_VERSION VEEAM_EM_STORE VEEAM_EM_STORE_PASSWORD REQUESTS_CA_BUNDLE CURL_CA_BUNDLE

# Without its bytecode, each ansible-playbook compiles Ansible anew, which is a third of the time that a short one takes.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup dev demo emulator bench fuzz fuzz-runs mutation lab test check matrix unit some-unit fault-matrix integration sanity lint ruff \
	yamllint mypy ansible-lint changelog-lint docs docs-lint package ee import-check copy build clean

help:  ## list the targets
	@echo "Usage: make TARGET [PYTHON=python3.11]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

DEMO_SETTINGS := ANSIBLE_CALLBACK_RESULT_FORMAT=yaml ANSIBLE_NOCOWS=1 ANSIBLE_DEPRECATION_WARNINGS=false ANSIBLE_DISPLAY_SKIPPED_HOSTS=false
DEMO_READINESS := $(CURDIR)/build/demo-readiness
demo: setup  ## the main job against the embedded emulator: sessions as facts and as an inventory, a drill, a real failover with its undo, a portfolio
	@$(DEMO_SETTINGS) \
		$(BIN)/python tools/with_emulator.py --sessions 24 --tasks 4 --login admin --drill --clock-rate 20 -- \
		sh -ec '$(BIN)/ansible-playbook playbooks/demo.yml; echo; \
			echo "The VMs of the newest run of each plan as an inventory (ansible-inventory -i playbooks/inventory/demo.veeam_em.yml --graph)."; \
			echo "Unknown are those that only the plan lists. Time runs fast in the emulator: what the table shows as Working may be finished here."; \
			ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED=true $(BIN)/ansible-inventory -i playbooks/inventory/demo.veeam_em.yml --graph; echo; \
			echo "A drill of a plan of eight VMs (playbooks/drill.yml), four minutes in thirteen seconds. A test leaves nothing in failover, so nothing"; \
			echo "is undone:"; \
			$(BIN)/ansible-playbook playbooks/drill.yml -e @playbooks/vars/drill_targets.yml \
				-e "failover_run_plan=\"ABC Company DR drill\" failover_run_poll_interval=1 failover_report_directory=build/demo-report"; \
			echo; \
			echo "A real failover of a plan of two VMs (playbooks/failover.yml), confirmed by its name, and its undo:"; \
			$(BIN)/ansible-playbook playbooks/demo_failover.yml -e "{\"failover_run_targets\": {\"rto\": \"2m\", \"rpo\": \"4h\"}}" \
				-e "failover_run_plan=\"ABC Company small site\" failover_run_confirm=\"ABC Company small site\"" \
				-e "failover_run_poll_interval=1 failover_report_directory=build/demo-report"; \
			echo "The reports of both are in build/demo-report. Time in the emulator is ahead of the time here: so \"As of\" in a report can be before"; \
			echo "the start of its run."'
	@echo
	@echo "Could we fail over tonight? A year of seven plans, MADE UP by tools/demo_history.py, judged by playbooks/vars/demo_readiness.yml:"
	@rm -rf $(DEMO_READINESS)
	@mkdir -p $(DEMO_READINESS)
	@PYTHONPATH=tests:$(ANSIBLE_COLLECTIONS_PATH) $(BIN)/python tools/demo_history.py $(DEMO_READINESS)/history.db
	@$(DEMO_SETTINGS) $(BIN)/ansible-playbook playbooks/readiness.yml -e @playbooks/vars/demo_readiness.yml \
		-e "failover_readiness_store=$(DEMO_READINESS)/history.db failover_readiness_record=false failover_readiness_directory=$(DEMO_READINESS)" \
		-e "failover_readiness_title=\"Made-up plans\" failover_readiness_classification=\"Made up by make demo\""
	@echo
	@echo "(The sessions of 2015 are the samples of Veeam's reference; the emulator makes up the others.)"
	@echo
	@echo "That was the emulator, which is stopped again. To run the same playbook, which only reads, on your own Enterprise Manager:"
	@echo
	@echo "  export VEEAM_EM_URL=https://em.example.com:9398 VEEAM_EM_USERNAME='DOMAIN\\user'"
	@echo "  read -rsp 'Password: ' VEEAM_EM_PASSWORD && export VEEAM_EM_PASSWORD"
	@echo "  export VEEAM_EM_CA_PATH=$(CURDIR)/ca.pem    # if its certificate is not publicly trusted: the one that signed it"
	@echo "  ANSIBLE_CALLBACK_RESULT_FORMAT=yaml ANSIBLE_COLLECTIONS_PATH=.ansible/collections $(VENV)/bin/ansible-playbook playbooks/demo.yml"
	@echo
	@echo "README.md has a first playbook of your own."
	@echo
	@echo "The portfolio of the made-up plans, to open in a browser: $(DEMO_READINESS)/portfolio.html"

# Not from the environment, where PORT may mean something else.
PORT = 9398
EMULATOR_TLS = $(CURDIR)/.cache/tls$(if $(filter-out 9398,$(PORT)),-$(PORT))
emulator: setup  ## an Enterprise Manager stand-in on PORT=9398, until Ctrl-C, with the plan "ABC Company DR drill"
	@echo "Users admin, reader, operator, both and restricted, password Passw0rd!. Who may what: tests/emulator/README.md."
	@mkdir -p $(EMULATOR_TLS)
	@PYTHONPATH=tests exec $(BIN)/python -m emulator --port $(PORT) --tls $(EMULATOR_TLS) --sessions 24 --tasks 4 --drill

check: dev ruff yamllint mypy  ## while you work: lint, and the unit tests of the files that you changed
	@tests="$$($(DEV)/python tools/changed_tests.py)"; test -z "$$tests" || { echo "Tests: $$tests"; $(DEV)/python -m pytest -n 2 --dist worksteal $$tests; }

test: dev  ## everything CI runs, in legs side by side; see tools/legs.py
	@$(DEV)/python tools/legs.py test

matrix: $(LINK)  ## all unit tests and integration targets on ansible-core 2.16, 2.19 and 2.21; a table in build/matrix.md
	@$(PYTHON) tools/legs.py matrix

# The tests that the coverage of the core is measured with. It makes them take twice as long, and all the others show no more.
COVERED := tests/unit/plugins/module_utils tests/unit/extensions/test_eda_failover_session.py tests/unit/trust/test_tls.py \
	$(addprefix tests/unit/plugins/,$(addsuffix .py,modules/test_data_collection modules/test_failover_history modules/test_failover_history_info \
	modules/test_values modules/test_failover_session_info filter/test_failover_readiness lookup/test_failover_readiness))
# What another leg runs.
ELSEWHERE ?=
# Three workers, for two processors: the tests wait for a third of their time. A worker that is done takes tests of another one, since some take minutes.
unit: setup  ## unit tests, with the coverage that the core must have (pyproject.toml)
	$(VERSIONS)
	@rm -rf build/fault-matrix
	@mkdir -p build
	$(BIN)/python -m pytest -n 3 --dist worksteal tests/unit $(addprefix --ignore=,$(COVERED) $(ELSEWHERE))
	$(BIN)/python -m pytest -n 3 --dist worksteal --cov --cov-report=term --cov-report=json:build/coverage.json $(COVERED)
	$(BIN)/python tools/check_coverage.py build/coverage.json
	$(BIN)/python tools/fault_matrix.py --check

# Without coverage, and not always all of them: what tools/legs.py runs on other versions.
some-unit: setup
	$(VERSIONS)
	$(BIN)/python -m pytest -n 2 --dist worksteal $(UNIT_TESTS)

fault-matrix: setup  ## all faults, and build/fault-matrix.md made from the outcomes
	@rm -rf build/fault-matrix
	$(BIN)/python -m pytest -n 2 --dist worksteal -m '' tests/unit/trust/test_fault_matrix.py tests/unit/trust/test_run_faults.py
	$(BIN)/python tools/fault_matrix.py

integration: copy  ## integration targets, all or TARGETS="...": real playbooks against the emulator
	$(VERSIONS)
	$(call ANSIBLE_TEST,integration) $(TARGETS)

sanity: copy  ## ansible-test sanity, all tests or SANITY="--test pylint"
	$(call ANSIBLE_TEST,sanity) $(SANITY)

# ansible-lint takes longer than all others together.
lint: dev  ## ruff, yamllint, mypy, ansible-lint (production profile), changelog fragments
	@$(MAKE) --no-print-directory -j 2 --output-sync ansible-lint ruff yamllint mypy changelog-lint

ruff: dev
	$(DEV)/ruff check .
	$(DEV)/ruff format --check .

yamllint: dev
	$(DEV)/yamllint -s .

mypy: dev
	$(DEV)/mypy -p ansible_collections.dr_runbook.veeam_em.plugins.module_utils -p ansible_collections.dr_runbook.veeam_em.plugins.plugin_utils

ansible-lint: dev
	$(DEV)/ansible-lint --offline

changelog-lint: dev
	$(DEV)/antsibull-changelog lint

docs-lint: dev  ## documentation of plugins, references between them
	$(DEV)/antsibull-docs lint-collection-docs --plugin-docs --skip-rstcheck --validate-collection-refs=self .

docs: dev  ## the documentation as a site in build/docs/html; warnings and dead links are errors
	@rm -rf build/docs
	@mkdir -p -m 755 build/docs/src/plugins
	@tar -cf - *.md docs tests/emulator/README.md | tar -xf - -C build/docs/src
	@cp docs/site/*.md build/docs/src/
	$(DEV)/antsibull-docs collection --use-current --squash-hierarchy --fail-on-error --dest-dir build/docs/src/plugins $(COLLECTION)
	$(DEV)/sphinx-build -q -W --keep-going -c docs/site build/docs/src build/docs/html

build: dev  ## the artifact of the collection, into build/
	rm -rf build/*.tar.gz
	$(DEV)/ansible-galaxy collection build --force --output-path build

package: build  ## build the artifact, install it elsewhere, and run the demo playbook from there
	rm -rf $(INSTALLED)
	ANSIBLE_COLLECTIONS_PATH=$(INSTALLED) $(DEV)/ansible-galaxy collection install build/*.tar.gz -p $(INSTALLED) --offline
	cd $(INSTALLED) && ANSIBLE_COLLECTIONS_PATH=$(INSTALLED) $(DEV)/python $(CURDIR)/tools/with_emulator.py --sessions 5 -- \
		$(DEV)/ansible-playbook $(COLLECTION).demo >/dev/null

# The venv is made anew each time, of what ansible-builder would install and nothing else: so the lists in meta/ are complete.
ee: package  ## what an execution environment gets, and integration targets (TARGETS="...") with that and the artifact
	$(DEV)/python tools/ee_requirements.py $(INSTALLED) build/ee
	rm -rf .venv-ee
	$(MAKE) integration VENV=.venv-ee REQUIREMENTS=build/ee/requirements.txt SOURCE=$$(ls build/*.tar.gz) EMULATOR_PYTHON=$(DEV)/python

import-check: build  ## what Galaxy checks of an upload, without a word of complaint
	@$(MAKE) --no-print-directory setup VENV=.venv-import GROUP=import
	$(DEV)/python tools/import_check.py .venv-import build

# What follows is no part of the tests, and has a venv of its own, of Python 3.11 to 3.13.
lab:
	@$(MAKE) --no-print-directory setup VENV=.venv-lab GROUP=lab

# It takes as long as it is given, and no two runs are alike. What it finds becomes a test.
SECONDS ?= 300
fuzz: lab  ## fuzz the XML reader for SECONDS=300, guided by coverage; see docs/quality.md
	.venv-lab/bin/python tools/fuzz_xml.py --seconds $(SECONDS)

# What it finds becomes a test.
SCHEDULES ?= 2000
fuzz-runs: setup  ## drills in SCHEDULES=2000 random schedules of what others, EM and the network do meanwhile; see docs/quality.md
	SCHEDULES=$(SCHEDULES) $(BIN)/python -m pytest -m '' tests/unit/trust/test_run_schedules.py

# Figures need a machine that does nothing else for a quarter of an hour.
bench: lab  ## time and memory beside what one would do without the collection (QUICK=1: a minute, writes nothing); see docs/quality.md
	.venv-lab/bin/python tools/bench.py $(if $(QUICK),--quick)

# It takes about an hour. Results are kept in .cache/mutation, so it can be interrupted.
mutation: lab  ## mutation tests of the core files (MUTANTS='*xml*' runs some again); see docs/quality.md
	@PATH=$(CURDIR)/.venv-lab/bin:$$PATH .venv-lab/bin/python tools/mutation.py $(if $(MUTANTS),'$(MUTANTS)')

setup: $(VENV)/.ready $(LINK)  ## a local venv, and the checkout linked as the collection
dev: .venv/.dev setup

# By uv, since the pip that a Python brings may be too old for groups. The emulator's requirements have a file, which goes into the artifact.
INSTALL = $(1)/uv pip install -q --python $(1)/python $(2)
EMULATOR_REQUIREMENTS := tests/emulator/requirements.txt

$(VENV)/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or newer is needed; name it: make PYTHON=python3.11"; exit 1; }
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check $(UV)

$(VENV)/.ready: pyproject.toml $(EMULATOR_REQUIREMENTS) | $(VENV)/bin/uv
	@$(call INSTALL,$(BIN),$(if $(REQUIREMENTS),-r $(REQUIREMENTS),--group $(GROUP) -r $(EMULATOR_REQUIREMENTS)))
	@touch $@

.venv/.dev: pyproject.toml .venv/.ready
	@$(call INSTALL,$(DEV),--group dev -r $(EMULATOR_REQUIREMENTS))
	@touch $@

$(LINK):
	@mkdir -p $(@D)
	@ln -sfn ../../../.. $@

copy: setup
	@ANSIBLE_COLLECTIONS_PATH=$(COPY_ROOT) ansible-galaxy collection install $(SOURCE) -p $(COPY_ROOT) --force --offline >/dev/null
	@git init -q $(COPY)
	@$(if $(EMULATOR_PYTHON),echo "emulator_python: $(EMULATOR_PYTHON)" >$(COPY)/tests/integration/integration_config.yml)
	@mkdir -p $(COPY_HOME)/.ansible/test/cache $(COPY_HOME)/.config
	@for version in 23_1_2 24_2 25_2; do cp tools/get_pip_offline.py $(COPY_HOME)/.ansible/test/cache/get_pip_$$version.py; done
	@if [ -d "$$HOME/.config/pip" ]; then ln -sfn "$$HOME/.config/pip" $(COPY_HOME)/.config/pip; fi

clean:  ## remove all that make has made
	rm -rf .venv .venv-* .ansible .cache build .coverage .mypy_cache .ruff_cache .hypothesis
