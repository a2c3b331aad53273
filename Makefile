# Everything is done by scripts/; a target only names it.
.DEFAULT_GOAL := help
TIERS := lint types unit exhaustive floor cores sanity conformance live page kvm kvm-san molecule
ON_REQUEST := pristine long
LAB ?= ontap vcenter
VMS ?= 0
MODULES ?=
PYTHON := build/venv/bin/python

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '  make %-12s %s\n' TIER 'one tier of the tests: $(TIERS)'
	@printf '  make %-12s %s\n' pristine 'a tier that `make test` leaves out: the demo on a new Debian 12 without anything installed by hand'
	@printf '  make %-12s %s\n' long 'another: the roles in real guests, 10,000 simulated schedules, the execution environment, which takes an hour'

.PHONY: venv
venv: ## the Python environment of everything below, in build/venv
	@scripts/venv main

.PHONY: demo
demo: venv ## provision a disk twice, print the map, take the disk away again
	@scripts/demo

.PHONY: test
test: venv ## all tiers of the tests, or TIERS="unit lint"
	@$(PYTHON) scripts/run_tiers.py $(TIERS)

.PHONY: $(TIERS) $(ON_REQUEST)
$(TIERS) $(ON_REQUEST): venv
	@$(PYTHON) scripts/run_tiers.py $@

.PHONY: matrix
matrix: venv ## the unit tests on every ansible-core and Python that is claimed and that is here
	@scripts/matrix

.PHONY: docs
docs: venv ## the documentation site, into build/docs/html
	@scripts/docs-site

.PHONY: bench
bench: venv ## what is promised about speed, into build/bench.json
	@scripts/system-packages chromium fonts-dejavu-core libatomic1
	@$(PYTHON) -m tests.bench

.PHONY: mutants
mutants: venv ## which mistakes in the rules of safety the unit tests would not notice, or MODULES="arrays plan"
	@$(PYTHON) -m tests.mutants $(MODULES)

.PHONY: lab
lab: venv ## start LAB="ontap vcenter", with VMS=n virtual machines in all
	@$(PYTHON) -m tests.lab.launch up $(LAB) --vms $(VMS)

.PHONY: lab-down
lab-down: ## stop what `make lab` started
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m tests.lab.launch down; fi

.PHONY: clean
clean: ## stop and remove everything that was built
	@scripts/clean
