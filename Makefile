# The one way in: `make` lists what there is. Works where the shell is bash and, for `setup`, on Debian.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
DOCKER ?= docker
KUBECTL ?= kubectl
# The version in Cargo.toml; asked for only where it is used.
VERSION = $(shell $(CARGO) metadata --no-deps --format-version 1 | grep -o '"name":"runbookd","version":"[^"]*"' | cut -d'"' -f8)
IMAGE ?= runbookd:$(VERSION)
# Where cargo builds, whatever CARGO_TARGET_DIR or a cargo configuration says.
TARGET_DIR = $(shell $(CARGO) metadata --no-deps --format-version 1 | grep -o '"target_directory":"[^"]*"' | cut -d'"' -f4)

.PHONY: help setup build test check bench chaos sim compare storm storm-scaling test-cluster demo image manifests

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

setup: ## install what is missing: prometheus, amtool, kubectl, strace, a C compiler, chromium, axe (Debian)
	@.ci/setup

build: ## build the daemon, the demo and the test doubles
	$(CARGO) build --workspace --locked

test: setup ## run all tests; one plain line for each
	@export CARGO_TERM_COLOR=never NEXTEST_SHOW_PROGRESS=none; status=0; \
	if $(CARGO) nextest --version >/dev/null 2>&1; then \
	    $(CARGO) nextest run --workspace --locked --no-fail-fast --status-level pass --final-status-level fail || status=1; \
	else \
	    $(CARGO) test --workspace --locked --no-fail-fast --lib --bins --tests || status=1; \
	fi; \
	$(CARGO) test --workspace --locked --no-fail-fast --doc || status=1; \
	exit $$status

check: ## formatting, lints, documentation, dependencies, then all tests
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
	    $(CARGO) deny check --hide-inclusion-graph bans licenses sources; \
	else \
	    echo "check: cargo-deny is not installed, so the dependencies were not checked (cargo install --locked cargo-deny)"; \
	fi
	@$(MAKE) --no-print-directory test

bench: ## run the benchmarks
	$(CARGO) bench --workspace --locked --bench '*'

sim: ## both simulations, of paging and of clusters, over SEEDS (10000) seeds; ONE=sim or cluster_sim; SEED=n plays one again
	@for one in $(or $(ONE),sim cluster_sim); do \
	    SEEDS=$(or $(SEEDS),10000) $(if $(SEED),SEED=$(SEED)) \
	        $(CARGO) test --release --locked --test $$one every_invariant -- --nocapture; \
	done

compare: ## play six shapes of load against runbookd and HPA, and write docs/scaling-compared.md and its picture anew
	UPDATE=1 $(CARGO) test --locked --test closed_loop the_page -- --nocapture

chaos: ## kill the daemon KILLS (1000) times under a storm, with ill receivers and a full disk, then the simulation
	KILLS=$(or $(KILLS),1000) SEED=$(or $(SEED),$(shell date +%s)) ROUNDS=$(or $(ROUNDS),5) \
	    $(CARGO) test --locked --test chaos -- --nocapture --test-threads 1
	@$(MAKE) --no-print-directory sim SEED=

storm: ## measure the release binary: ALERTS (5000) at once, and an OUTAGE (60 s) with a kill in it
	$(CARGO) build --release --locked --bin runbookd
	RUNBOOKD="$(TARGET_DIR)/release/runbookd" ALERTS=$(or $(ALERTS),5000) OUTAGE=$(or $(OUTAGE),60) \
	    $(CARGO) test --locked --test chaos -- --nocapture --test-threads 1 a_storm_is_told a_kill_in_an_outage

storm-scaling: ## measure the release binary: TARGETS (1000) with 3 triggers each at once, over an API 20 ms away
	TARGETS=$(or $(TARGETS),1000) P99_MS=$(or $(P99_MS),1000) \
	    $(CARGO) test --release --locked --test end_to_end -- --nocapture --test-threads 1 a_storm_of_breaches

test-cluster: ## the portable part of the Kubernetes suite on the cluster of KUBECONFIG, in namespaces that it removes
	@if [ -z "$${KUBECONFIG:-}" ]; then \
	    echo "test-cluster: skipped, KUBECONFIG names no cluster"; \
	else \
	    RUNBOOKD_TEST_CLUSTER="$$KUBECONFIG" $(CARGO) test --locked --test kubernetes -- --nocapture portable; \
	fi

demo: setup ## the daemon against a synthetic shop, in one terminal; ONCE=1 plays one incident and ends
	$(CARGO) build --workspace --locked
	@exec "$(TARGET_DIR)/debug/demo" --runbookd "$(TARGET_DIR)/debug/runbookd" $(if $(filter 1,$(ONCE)),--once)

image: ## build the container image; IMAGE=name:tag names it
	$(DOCKER) build --file deploy/Dockerfile --tag "$(IMAGE)" .

manifests: ## print what `kubectl apply -k deploy/base` would apply
	@$(KUBECTL) kustomize deploy/base
