# Every target sets up what it needs first; `make` alone lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON_BIN := .venv/bin/python
LAB_STATE ?= .lab
PYTEST_ARGS ?=
# They wait more than they work: four files at a time take 12.4 minutes on two cores, two take 17.5.
TEST_WORKERS ?= 4
# -rs: every skipped test says why
PYTEST = $(PYTHON_BIN) -m pytest -q -rs --durations=10
# pytest ends with 5 when PYTEST_ARGS leaves nothing of a part; without PYTEST_ARGS that is a failure
NONE_IS_FINE = $(if $(PYTEST_ARGS),|| { code=$$?; [ $$code -eq 5 ]; })
FUZZ_ARGS ?=
STORM_ARGS ?=

# Importing Airflow makes files in AIRFLOW_HOME: keep them out of the home directory.
export AIRFLOW_HOME ?= $(CURDIR)/.lab/airflow-home
export LAB_STATE
# Compiled modules are kept: without them every start of Python, and every test's rewritten assertions, cost twice as much.
unexport PYTHONDONTWRITEBYTECODE

##@ Start here
.PHONY: help setup setup-plaso demo
help: ## List the commands
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv and .venv-tools from the locked requirements (PYTHON=… chooses the interpreter)
	@scripts/setup.sh

setup-plaso: ## Make .venv-plaso for the full timeline; needs Python 3.11
	@scripts/setup.sh --plaso

demo: .ready ## Run one case from finding to report on this machine, on what the templates deploy, then stop
	@LAB_DEPLOY=templates $(PYTHON_BIN) -m lab.scenarios.demo

##@ The lab
.PHONY: up down status
up: .ready ## Start the lab and Airflow, and leave them running
	@LAB_STATE=$(LAB_STATE)/up $(PYTHON_BIN) -m lab.stack up

down: .ready ## Stop what `make up` started
	@LAB_STATE=$(LAB_STATE)/up $(PYTHON_BIN) -m lab.stack down

status: .ready ## Show what runs and where its logs are
	@LAB_STATE=$(LAB_STATE)/up $(PYTHON_BIN) -m lab.stack status

##@ Quality
.PHONY: memory-check guest
memory-check: .ready ## Validate 50 memory captures and time the sender
	@PYTHONPATH=plugins $(PYTHON_BIN) -m lab.scenarios.memory_check $(if $(ARCH),--arch $(ARCH)) $(MEMORY_CHECK_ARGS)

guest: .ready ## Capture the memory of a real guest under QEMU (KERNEL=6.12: writes docs/kernels.md; GUEST_ARGS=--lockdown=integrity, --lime)
	@PYTHONPATH=plugins $(PYTHON_BIN) -m lab.scenarios.guest $(if $(KERNEL),--kernel $(KERNEL)) $(if $(ARCH),--arch $(ARCH)) $(GUEST_ARGS)

.PHONY: policy-table try-tool
try-tool: .ready ## Run one SSM document on one image in the sandbox and say what the pipeline would say (DOC=… IMAGE=… OUTPUT=raw|results)
	@PYTHONPATH=plugins $(PYTHON_BIN) -m lab.scenarios.try_tool "$(DOC)" "$(IMAGE)" $(OUTPUT)

policy-table: .ready ## What the policy does by finding type, role and severity (POLICY=file for your own)
	@PYTHONPATH=plugins $(PYTHON_BIN) -m forensics.triage.policy_table $(POLICY)

.PHONY: timeline-bench quick test test-e2e ui-test test-unprivileged coverage lint docs bench
quick: .ready ## Rules, format and the tests that import neither Airflow nor boto3 nor the lab (seconds)
	@.venv/bin/ruff check . && .venv/bin/ruff format --check .
	@files=$$($(PYTHON_BIN) -m tests.pure) && $(PYTHON_BIN) -m pytest -q -rs -n $(TEST_WORKERS) --dist loadfile -m "not thorough" $(PYTEST_ARGS) $$files

test: .ready ## Run all tests but the long proofs (PYTEST_ARGS="-k custody" for a part)
	@echo "[test] 1 of 2: everything below the whole stack, $(TEST_WORKERS) files at a time; the long proofs are listed below"
	@$(PYTEST) -m "not investigate and not e2e" -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS) $(NONE_IS_FINE)
	@echo "[test] 2 of 2: the whole stack, lab and Airflow, driven from outside"
	@$(PYTEST) -m "e2e and not investigate" $(PYTEST_ARGS) $(NONE_IS_FINE)

test-e2e: .ready ## Boot the lab and Airflow and run the cases, passing and failing, from outside
	@$(PYTHON_BIN) -m pytest -q -rs -m e2e tests/e2e

ui-test: .ready ## Look at the pages with a real browser (Debian's package chromium; without it each test says that it is missing)
	@$(PYTEST) $(PYTEST_ARGS) tests/ui

.PHONY: ui-times clear-check
ui-times: .ready ## Time the pages with 10,000 cases, 40,000 findings and 5,000,000 timeline entries by the browser's clock (UI_CASES=, UI_FINDINGS=, UI_ENTRIES=; a quarter of an hour)
	@UI_CASES=$(or $(UI_CASES),10000) UI_FINDINGS=$(or $(UI_FINDINGS),40000) UI_ENTRIES=$(or $(UI_ENTRIES),5000000) $(PYTEST) -s tests/ui/test_size.py

screenshots: .ready ## Take the documents' pictures of the pages again (docs/images; needs Debian's package chromium)
	@$(PYTHON_BIN) -m tests.ui.screenshots

test-unprivileged: .ready ## Run the demo and the sandbox's tests as nobody, in a copy that everybody can read (needs root)
	@scripts/unprivileged.sh

coverage: .ready ## Run the tests below the whole stack and print which lines and branches they reach
	@$(PYTHON_BIN) -m pytest -q -m "not investigate and not e2e" -n $(TEST_WORKERS) --dist loadfile --cov --cov-report=term:skip-covered $(PYTEST_ARGS)

lint: .ready ## Check style, shell code, credentials, direction of imports and types, everywhere
	@echo "[lint] ruff: rules"; .venv/bin/ruff check .
	@echo "[lint] ruff: format"; .venv/bin/ruff format --check .
	@echo "[lint] shellcheck"; .venv/bin/shellcheck .ci/run $$(find . -path './.?*' -prune -o -path ./dist -prune -o -name '*.sh' -print)
	@echo "[lint] conflicts"; ! git grep -nE '^(<{7}|>{7}) '
	@echo "[lint] secrets"; $(PYTHON_BIN) scripts/check_secrets.py
	@echo "[lint] import-linter: the rooms of product and toolkit"; PYTHONPATH=plugins:ami/toolkit/src .venv/bin/lint-imports --no-cache
	@echo "[lint] mypy: the folders that pyproject.toml lists"; .venv/bin/mypy

docs: ## Build the documents as a site in .lab/site; a broken link is an error
	@scripts/setup.sh --quiet --docs
	@.venv-docs/bin/mkdocs build --strict
	@echo "[docs] .lab/site/index.html"

WORKERS ?= 1,2,4
bench: .ready $(if $(filter celery,$(EXECUTOR)),package) ## Measure the pipeline in the lab (TOOLS=real: with the tools on these cores; EXECUTOR=celery WORKERS=1,2,4: cases per hour by workers)
ifeq ($(EXECUTOR),celery)
	@export LAB_AIRFLOW_PYTHON; LAB_AIRFLOW_PYTHON=$$($(PYTHON_BIN) -m infra.deployment.mwaa_check --python); \
		$(PYTHON_BIN) -m lab.scenarios.bench_workers --workers $(WORKERS) $(BENCH_ARGS)
else
	@$(PYTHON_BIN) -m lab.scenarios.bench --tools $(or $(TOOLS),replayed) $(BENCH_ARGS)
	@$(PYTHON_BIN) -m lab.scenarios.bench_intake
endif

scale: .ready ## Requests to the case store with 100 and with 10,000 cases: no scan, no growth with ended ones (two minutes)
	@PYTHONPATH=plugins:. $(PYTHON_BIN) -m lab.scenarios.scale $(SCALE_ARGS)

waiting: .ready ## Processor time and requests of 10 to 1,000 cases that wait (WAITING_ARGS="--kind commands --waits 500 --settle 40 --most-percent 15"; three minutes)
	@PYTHONPATH=plugins:. AIRFLOW__LOGGING__LOGGING_LEVEL=ERROR $(PYTHON_BIN) -m lab.scenarios.waiting $(WAITING_ARGS)

##@ Long proofs
.PHONY: storm fuzz test-containment custody-check investigate-check ami-check iam-check contract-check preflight-check cloud-check aws-check authority-check userland-check protection-check size-check hostile-check crash-check intake-check twins-check acquisition-report artifact-table techniques-check
EXECUTOR ?= local
storm: .ready $(if $(filter celery,$(EXECUTOR)),package) ## Load test: 300 findings while processes are killed (EXECUTOR=celery: workers and disks too)
	@$(if $(filter celery,$(EXECUTOR)),export LAB_AIRFLOW_PYTHON; LAB_AIRFLOW_PYTHON=$$($(PYTHON_BIN) -m infra.deployment.mwaa_check --python);) \
		$(PYTHON_BIN) -m lab.scenarios.load_test --state $(LAB_STATE)/storm --executor $(EXECUTOR) $(STORM_ARGS)

fuzz: .ready ## Feed 120,000 broken events to the intake (FUZZ_ARGS="--count 1000000 --seed 7"), about five minutes
	@PYTHONPATH=plugins:. $(PYTHON_BIN) -m tests.fuzz $(FUZZ_ARGS)

test-containment: .ready ## Contain and release all 48 kinds of target, with a fault at each call, and with real packets
	@echo "[test-containment] 48 kinds of target; about fifteen minutes on two cores"
	@CONTAINMENT_TESTS=full $(PYTHON_BIN) -m pytest -q -rs --durations=5 $(PYTEST_ARGS) tests/containment tests/unit/containment

custody-check: .ready ## Prove custody: 300 tampered bundles named, 100 clean ones pass, disk digests fast and true
	@echo "[custody-check] a few minutes; figures are printed"
	@CUSTODY_CHECK=full $(PYTHON_BIN) -m pytest -q -s tests/verifier tests/unit/disk/test_snapshot_reader.py tests/unit/report/exports/test_case_uco.py

investigate-check: .ready ## Prove the investigation: planted intrusion on every disk layout, coverage check, symbols, hostile evidence
	@$(PYTHON_BIN) -m pytest -q -rs -s -m investigate tests/toolkit tests/integration/test_symbol_library.py

ami-check: .ready ## Run the forensic AMI's components in a fresh system (needs root and debootstrap; says what is missing)
	@$(PYTHON_BIN) scripts/ami_check.py $(RECIPES)

iam-check: .ready ## Prove least privilege: a case under the templates' policies, then each statement removed once (fifteen minutes)
	@echo "[iam-check] 1 of 2: the demo's case on the stacks, IAM enforced"
	@LAB_DEPLOY=templates $(PYTHON_BIN) -m lab.scenarios.demo --state $(LAB_STATE)/iam
	@echo "[iam-check] 2 of 2: step by step, each statement removed right before the step that first needs it"
	@PYTHONPATH=plugins:. $(PYTHON_BIN) -m tests.iam --cache $(LAB_STATE)/cache

contract-check: .ready ## Ask the lab and emulators that others built the same questions (Node.js; two minutes); differences are in docs/lab-fidelity.md
	@scripts/setup.sh --quiet --judges
	@CONTRACT_CHECK=full $(PYTHON_BIN) -m pytest -q -rxs $(PYTEST_ARGS) tests/contract

preflight-check: .ready ## Prove the preflight: 58 faults of a deployment named by the line that owns them, no false alarm on ten clean ones (a quarter of an hour)
	@PYTHONPATH=plugins:. $(PYTHON_BIN) -m lab.scenarios.preflight_check $(PREFLIGHT_CHECK_ARGS)

cloud-check: .ready ## Prove the reading of CloudTrail: stories of attacks with principal, time and effect, quiet months, formats, broken files, 1 GiB of trail and 5 million flows (minutes; CLOUD_SCALE=1: 10 GiB and 50 million)
	@PYTHONPATH=plugins:. $(PYTHON_BIN) -m lab.scenarios.cloud_check --scale $(or $(CLOUD_SCALE),0.1) $(CLOUD_CHECK_ARGS)

# What first contact with a real account needs: the lab answers as AWS, the product copes with it, the preflight says what is wrong.
aws-check: .ready ## Lab against AWS's models and other emulators, product and templates on the strict lab, preflight (half an hour)
	@echo "[aws-check] 1 of 3: the lab tells the truth: models, recorded shapes, judges, behaviours"
	@$(MAKE) contract-check
	@$(PYTHON_BIN) -m pytest -q -rs -n $(TEST_WORKERS) --dist loadfile tests/lab
	@echo "[aws-check] 2 of 3: the product copes, the templates reach, come up and refuse"
	@CONTAINMENT_TESTS=full $(PYTHON_BIN) -m pytest -q -rs -n $(TEST_WORKERS) --dist loadfile \
		tests/containment tests/integration tests/templates tests/unit/aws tests/unit/disk tests/unit/memory
	@echo "[aws-check] 3 of 3: the preflight"
	@$(MAKE) preflight-check

# Who may speak, who may approve, what happens after the first case. AUTHORITY_SEED and AUTHORITY_COUNT vary the hostile events.
userland-check: .ready ## The target's documents in 17 userlands under 36 conditions (USERLAND_ARGS="--count 100 --seed 7"; as root), an hour
	@PYTHONPATH=plugins $(PYTHON_BIN) -m lab.scenarios.userland_check $(USERLAND_ARGS)

authority-check: .ready ## Hostile and honest events, orders, approvals, policies of the organization, event against ASFF (AUTHORITY_COUNT=50 events a kind)
	@AUTHORITY_COUNT=$(or $(AUTHORITY_COUNT),50) CONTAINMENT_TESTS=full $(PYTHON_BIN) -m pytest -q -rs -n $(TEST_WORKERS) --dist loadfile $(PYTEST_ARGS) \
		tests/authority tests/templates/test_scp.py tests/unit/triage tests/unit/containment tests/unit/intake tests/containment/test_operators.py tests/containment/test_approvals.py \
		tests/containment/test_drift.py tests/integration/test_scope.py tests/integration/test_case_watchdog.py

protection-check: .ready ## End a target at 20, 50, 80 % of its capture, protected and not (PROTECTION_COUNT=30 times), about five minutes
	@PROTECTION_COUNT=$(or $(PROTECTION_COUNT),30) $(PYTHON_BIN) -m pytest -q -rs -n $(TEST_WORKERS) $(PYTEST_ARGS) tests/integration/test_protection.py

size-check: .ready ## Verify a sparse memory image of 64 GiB (SIZE_GIB) and measure what is resident, about ten minutes
	@SIZE_GIB=$(or $(SIZE_GIB),64) $(PYTHON_BIN) -m pytest -q -rs -s $(PYTEST_ARGS) tests/integration/test_size.py

# A fault names its step and point: CRASH_ARGS='--step "disk.copy_snapshots" --at "69 / after"' plays it again.
crash-check: .ready ## Kill every step before and after its requests, try it again, compare with an undisturbed run (SEED=1; half an hour)
	@PYTHONPATH=plugins:. $(PYTHON_BIN) -m tests.crash --seed $(or $(SEED),1) --cache $(LAB_STATE)/cache $(CRASH_ARGS)

clear-check: .ready ## Break each step of a case for good, clear it once, compare with an undisturbed case (CLEAR_ARGS="--steps disk.copy_snapshots"; an hour)
	@PYTHONPATH=plugins:. $(PYTHON_BIN) -m tests.clear --cache $(LAB_STATE)/cache $(CLEAR_ARGS)

intake-check: .ready ## Intake, watchdog and runs in 100,000 seeded interleavings with kills, throttling, redelivery (INTAKE_ARGS="--seed 7 --count 1"), half an hour
	@PYTHONPATH=plugins:. $(PYTHON_BIN) -m tests.interleavings $(INTAKE_ARGS)

.PHONY: bench-peers
bench-peers: .ready ## Run this product's tools beside those of others on the same bytes: one table with ratios (PEERS_ARGS="--blocks 200")
	@PYTHONPATH=plugins $(PYTHON_BIN) -m lab.scenarios.bench_peers $(PEERS_ARGS)

timeline-bench: .ready ## Measure writing and searching a stored timeline (ENTRIES=5000000, LIMIT_MS=300)
	@PYTHONPATH=plugins $(PYTHON_BIN) -m lab.scenarios.timeline_bench --entries $(or $(ENTRIES),5000000) --limit-ms $(or $(LIMIT_MS),300)

techniques-check: .ready ## Plant 117 Linux and 106 Windows techniques, run the quick profile, write docs/techniques.md (as root; TECHNIQUES_ARGS="--seed 7"; two minutes)
	@PYTHONPATH=plugins:ami/toolkit/src:. $(PYTHON_BIN) -m tests.toolkit.techniques.report $(TECHNIQUES_ARGS)

artifact-table: .ready ## Write docs/artifacts.md: the definitions of ForensicArtifacts, read, collected or not covered
	@$(PYTHON_BIN) scripts/artifact_coverage.py

twins-check: .ready ## Two workers at once on one step, in 4,000 seeded interleavings (TWINS_ARGS="--seed 7 --count 1"), about two minutes
	@PYTHONPATH=plugins:. $(PYTHON_BIN) -m tests.interleavings --twins --count 4000 $(TWINS_ARGS)

.PHONY: races-check
races-check: .ready ## Two deployments isolate one instance in the same second, stopped or killed at their requests (RACES_ARGS="--most 0": all; ten minutes)
	@PYTHONPATH=plugins:. $(PYTHON_BIN) -m tests.interleavings.deployments --most 100 $(RACES_ARGS)

.PHONY: disaster-check
disaster-check: .ready ## The table is restored to an earlier time, runs and findings are lost: what is brought back (two minutes)
	@$(PYTHON_BIN) -m pytest -q $(PYTEST_ARGS) tests/integration/test_ledger_restore.py tests/integration/test_catch_up.py tests/unit/custody/test_restoring.py \
		tests/unit/intake/test_lost_runs.py tests/unit/triage/test_finding_verifier.py tests/templates/test_disaster_plans.py

.PHONY: operate-check
operate-check: .ready ## Day two: the deploy tool, organization scale, two deployments, disasters, break glass, every alarm (ten minutes)
	@echo "[operate-check] 1 of 5: a deploy tool one can trust, and four hundred accounts"
	@$(PYTHON_BIN) -m pytest -q -rs -n $(TEST_WORKERS) --dist loadfile $(PYTEST_ARGS) tests/templates/test_deploy_matrix.py tests/templates/test_deploy_recovers.py \
		tests/templates/test_look_first.py tests/templates/test_waves.py tests/templates/test_pipeline_and_reference.py tests/templates/test_external_ids.py \
		tests/templates/test_organization_report.py tests/templates/test_quotas.py tests/templates/test_plan.py tests/templates/test_configuration_checks.py \
		tests/templates/test_going_back.py tests/templates/test_airflow_upgrade.py tests/templates/test_day_two_pages.py
	@echo "[operate-check] 2 of 5: two deployments in the same accounts"
	@$(PYTHON_BIN) -m pytest -q -rs $(PYTEST_ARGS) tests/unit/test_deployment.py tests/templates/test_two_deployments.py tests/integration/test_two_deployments.py
	@echo "[operate-check] 3 of 5: disasters"
	@$(MAKE) disaster-check
	@echo "[operate-check] 4 of 5: break glass, the command without Airflow"
	@$(PYTHON_BIN) -m pytest -q -rs -n $(TEST_WORKERS) --dist loadfile $(PYTEST_ARGS) tests/cli tests/unit/break_glass tests/templates/test_break_glass.py tests/integration/test_break_glass.py
	@echo "[operate-check] 5 of 5: every alarm rings by its cause"
	@$(PYTHON_BIN) -m pytest -q -rs $(PYTEST_ARGS) tests/templates/test_alarms.py tests/templates/test_alarms_fire.py tests/integration/test_ages.py \
		tests/unit/preflight/test_operations.py tests/unit/preflight/test_operations_operators.py

.PHONY: upgrade-check
upgrade-check: .ready ## Cases that the release before has begun, finished by this one (UPGRADE_ARGS="--only triage"), about ten minutes
	@PYTHONPATH=plugins:ami/toolkit/src:verifier:. $(PYTHON_BIN) -m tests.upgrade check --cache $(LAB_STATE)/cache $(UPGRADE_ARGS) >$(LAB_STATE)/upgrade.log || { tail -20 $(LAB_STATE)/upgrade.log; exit 1; }
	@grep handed $(LAB_STATE)/upgrade.log

acquisition-report: .ready ## Run every assertion of the acquisition (after NIST's CFTT) and write docs/acquisition-tests.md, about five minutes
	@PYTHONPATH=plugins:. $(PYTHON_BIN) -m tests.court

# What root on a target and on a forensic instance may answer. HOSTILE_SEED and HOSTILE_COUNT (answers of each of 12 kinds) vary it.
hostile-check: .ready ## Hostile answers of targets and forensic instances: each a verdict within its budget, peak memory printed (HOSTILE_COUNT=20 a kind)
	@HOSTILE_COUNT=$(or $(HOSTILE_COUNT),20) $(PYTHON_BIN) -m pytest -q -rs $(PYTEST_ARGS) tests/hostile
	@$(PYTHON_BIN) -m pytest -q -rs $(PYTEST_ARGS) tests/integration/test_hostile_target.py tests/integration/test_planted.py \
		tests/unit/test_confined.py tests/unit/memory/test_judging.py

##@ Deployment
.PHONY: lint-templates package mwaa-check deploy-plan
lint-templates: .ready ## Lint the CloudFormation templates: cfn-lint, checkov and cfn-guard, every finding explained
	@scripts/setup.sh --quiet --lint
	@$(PYTHON_BIN) -m infra.deployment.lint

package: .ready ## Build the release: dist/ec2-forensics-VERSION, every file listed with its digest
	@$(PYTHON_BIN) -m infra.deployment.package

CONFIG ?= infra/deployment.example.yaml
mwaa-check: .ready package ## Unpack the release as MWAA does and load it on both Airflow versions (CASE=1: run a case on each, ten minutes; MOVE=1: replace the older by the newer under an open case)
	@$(PYTHON_BIN) -m infra.deployment.mwaa_check $(if $(CASE),--case) $(if $(MOVE),--move)

deploy-plan: .ready ## Show what goes to which account, and where each parameter comes from (CONFIG=your.yaml)
	@$(PYTHON_BIN) -m infra.deployment.deploy --plan $(CONFIG)

.PHONY: capacity
capacity: .ready ## Show what a rate of cases needs, and what AWS's quotas do to a storm (CAPACITY_ARGS="--cases-per-hour 20")
	@$(PYTHON_BIN) -m infra.deployment.capacity $(CAPACITY_ARGS)

.PHONY: cost
cost: .ready ## Show what an idle month costs in each profile, and what a case costs (CONFIG=your.yaml)
	@$(PYTHON_BIN) -m infra.deployment.cost $(CONFIG)

##@ Upkeep
.PHONY: documents lock compose-pin hooks clean .ready
documents: .ready ## Pin names and hashes of ssm_documents/ again, after a document has changed
	@$(PYTHON_BIN) scripts/documents_manifest.py

lock: .ready ## Write requirements/*.lock again (UPGRADE=1 for newer versions, CONSTRAINTS=file-or-URL)
	@scripts/lock.sh

compose-pin: .ready ## Write the digests of the images that docker-compose.yml and lab/Dockerfile use behind their tags (asks the registry)
	@$(PYTHON_BIN) scripts/compose_pin.py

hooks: .ready ## Run the linters before every commit (.pre-commit-config.yaml)
	@.venv/bin/pre-commit install

clean: ## Delete environments, caches and lab states (stop the lab first)
	@if [ -x $(PYTHON_BIN) ]; then LAB_STATE=$(LAB_STATE)/up $(PYTHON_BIN) -m lab.stack down; fi
	rm -rf .venv .venv-* dist .lab .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.ready:
	@scripts/setup.sh --quiet
