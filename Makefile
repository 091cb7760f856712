# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 The Constellation developers
#
# The front door. `make help` lists what there is.

MODULES := res_consul res_consul_discovery res_consul_stasis_app res_stasis_amqp
HEADERS := consul.h stasis_amqp.h
SAMPLES := res_consul/consul.conf.sample res_stasis_amqp/amqp.conf.sample

CARGO   ?= cargo
# The toolchain is found where rustup puts it even in a shell that was not told.
export PATH := $(PATH):$(HOME)/.cargo/bin

PREFIX     ?= /usr
DESTDIR    ?=
ASTETCDIR  ?= /etc/asterisk
ASTDATADIR ?= $(or $(call asterisk_conf,astdatadir),/usr/share/asterisk)
ASTMODDIR  ?= $(or $(call asterisk_conf,astmoddir),$(firstword $(wildcard /usr/lib/*/asterisk/modules /usr/lib/asterisk/modules /usr/lib64/asterisk/modules)),/usr/lib/asterisk/modules)
INCLUDEDIR ?= $(PREFIX)/include/asterisk

# Where cargo puts what `make` builds
BUILT = $(or $(CARGO_TARGET_DIR),target)/release

# asterisk_conf NAME: the folder that the installed Asterisk's own configuration names
asterisk_conf = $(shell sed -n 's/^[[:space:]]*$(1)[[:space:]]*=>\{0,1\}[[:space:]]*//p' $(ASTETCDIR)/asterisk.conf 2>/dev/null | tail -n 1)

RIG := tests/rig/provision.sh
# rig_env NAME: what the rig says of its servers
rig_env = $(shell $(RIG) env 2>/dev/null | sed -n 's/^$(1)=//p')

# For builds on this machine that are not for an Asterisk installed on it.
FOR_22 = ASTERISK_INCLUDE_DIR=$(call rig_env,ASTERISK_22_INCLUDE_DIR) ASTERISK_VERSION=$(call rig_env,ASTERISK_22_VERSION) CARGO_TARGET_DIR=target/asterisk-22
# Scenarios at one time: most of what they do is wait.
SUITE_THREADS ?= $(shell n=$$((2 * $$(nproc) + 1)); echo $$((n < 8 ? n : 8)))
TEST_PACKAGES := $(addprefix -p ,$(MODULES)) -p res_boundary -p res_watcher

.DEFAULT_GOAL := all
.PHONY: all gateway install samples uninstall rig rig-22 build-22 build-16 build-gateway test check audit \
	unit fuzz fuzz-short suite test-faults faults-short test-memory soak demo up call watch down clean help \
	apps-venv ari-client test-apps instructions bench bench-quick bench-gateway bench-calls

all: ## Build the modules for the Asterisk whose headers are installed
	@command -v $(CARGO) >/dev/null || { echo "make: cargo is missing: install Rust 1.88 or newer" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "make: cc is missing: install the package gcc" >&2; exit 1; }
	@test -f $(or $(ASTERISK_INCLUDE_DIR),/usr/include)/asterisk/module.h || { echo "make: no Asterisk headers in $(or $(ASTERISK_INCLUDE_DIR),/usr/include): install the package asterisk-dev, or name their folder in ASTERISK_INCLUDE_DIR" >&2; exit 1; }
	@test -n "$$LIBCLANG_PATH" || ls /usr/lib/llvm-*/lib/libclang*.so* /usr/lib/*/libclang*.so* >/dev/null 2>&1 || { echo "make: libclang is missing: install the package libclang-dev" >&2; exit 1; }
	$(CARGO) build --release --locked $(addprefix -p ,$(MODULES))

gateway: ## Build the gateway, which needs no Asterisk: target/release/gateway
	$(CARGO) build --release --locked -p constellation-gateway

install: ## Install modules, headers, help and ARI description (DESTDIR, ASTMODDIR, ASTDATADIR)
	@for module in $(MODULES); do \
		test -f $(BUILT)/lib$$module.so || { echo "make: $(BUILT)/lib$$module.so is missing: run make first" >&2; exit 1; }; \
		install -D -m 0644 $(BUILT)/lib$$module.so $(DESTDIR)$(ASTMODDIR)/$$module.so; \
		install -D -m 0644 $$module/documentation.xml $(DESTDIR)$(ASTDATADIR)/documentation/thirdparty/$$module-en_US.xml; \
	done
	@for header in $(HEADERS); do \
		install -D -m 0644 include/asterisk/$$header $(DESTDIR)$(INCLUDEDIR)/$$header; \
	done
	install -D -m 0644 res_stasis_amqp/rest-api/amqp.json $(DESTDIR)$(ASTDATADIR)/rest-api/amqp.json
	@res_stasis_amqp/rest-api/list.sh add $(DESTDIR)$(ASTDATADIR)/rest-api/resources.json
	@echo "Installed. Asterisk reads the help at its next start. Load order: res_stasis_amqp.so, res_consul.so, res_consul_discovery.so, res_consul_stasis_app.so"

# Whoever has the folder is whom Asterisk runs as.
samples: ## Install the sample configurations where there are none yet
	@for sample in $(SAMPLES); do \
		conf=$(DESTDIR)$(ASTETCDIR)/$$(basename $$sample .sample); \
		if [ -e $$conf ]; then \
			echo "$$conf is there already, left alone"; \
		else \
			install -D -m 0640 $$sample $$conf && chown --reference=$$(dirname $$conf) $$conf; \
		fi; \
	done

uninstall: ## Remove what install put there; configuration stays
	rm -f $(foreach module,$(MODULES),$(DESTDIR)$(ASTMODDIR)/$(module).so $(DESTDIR)$(ASTDATADIR)/documentation/thirdparty/$(module)-en_US.xml)
	rm -f $(foreach header,$(HEADERS),$(DESTDIR)$(INCLUDEDIR)/$(header)) $(DESTDIR)$(ASTDATADIR)/rest-api/amqp.json
	@res_stasis_amqp/rest-api/list.sh remove $(DESTDIR)$(ASTDATADIR)/rest-api/resources.json

rig: ## Provide the real servers of tests and demo: Asterisk 22 and 16, RabbitMQ, Consul (root, Debian)
	@$(RIG)

rig-22:
	@$(RIG) testing

build-22: rig-22
	@echo "==> building for Asterisk $(call rig_env,ASTERISK_22_VERSION)"
	@$(FOR_22) $(CARGO) build --release --locked $(TEST_PACKAGES)

# In a run of its own: in one with the modules, cargo gives these the gateway's features of tokio, which
# leave a pair of sockets behind at each unload.
build-gateway: rig-22
	@echo "==> building the gateway"
	@$(FOR_22) $(CARGO) build --release --locked -p constellation-gateway

# Inside the Debian 11 root, whose older glibc the modules must load with.
build-16: rig
	@echo "==> building for Asterisk $(call rig_env,ASTERISK_16_VERSION)"
	@tests/rig/build-in-root.sh build --release --locked $(TEST_PACKAGES)

check: rig-22 ## rustfmt, and clippy with warnings denied
	$(CARGO) fmt --all --check
	$(FOR_22) $(CARGO) clippy --locked --workspace --all-targets -- -D warnings

unit: rig-22 ## Unit tests, without servers
	$(FOR_22) $(CARGO) test --locked --workspace --exclude constellation-tests --exclude constellation-fuzz --exclude constellation-instructions --exclude res_boundary --exclude res_watcher

# Python with what the apps need: target/apps-venv
apps-venv: rig-22
	@apps/venv.sh

# A client of ARI that tests put before the gateway: target/ari-client
ari-client: rig-22
	@tests/client/install.sh

APPS = cd apps && PYTHONPATH=. PYTHONDONTWRITEBYTECODE=1 ../target/apps-venv/bin/python -m

test-apps: apps-venv ## The Python apps and their SDK: ruff, mypy --strict, unit tests
	$(APPS) ruff check --no-cache . ../tests/suite/apps
	$(APPS) ruff format --no-cache --check . ../tests/suite/apps
	$(APPS) mypy --cache-dir=../target/mypy
	$(APPS) pytest -p no:cacheprovider

audit: ## Licences, banned crates and known vulnerabilities of all that is built
	@.ci/audit

# How long `make fuzz` runs each target, and how often `make test` does
SECONDS ?= 60
FUZZ_RUNS ?= 10000

fuzz: rig-22 ## Fuzz the readers of configuration, keys, events and urls, each for SECONDS (60)
	@$(FOR_22) fuzz/run.sh seconds $(SECONDS)

fuzz-short: rig-22
	@$(FOR_22) fuzz/run.sh runs $(FUZZ_RUNS)

suite: build-22 build-16 build-gateway apps-venv ari-client ## The integration suite on Asterisk 22 and 16, real servers
	@echo "==> integration suite: Asterisk $(call rig_env,ASTERISK_22_VERSION) and $(call rig_env,ASTERISK_16_VERSION), RabbitMQ $(call rig_env,RABBITMQ_VERSION), Consul $(call rig_env,CONSUL_VERSION)"
	$(FOR_22) RUST_TEST_THREADS=$(SUITE_THREADS) $(CARGO) test --locked -p constellation-tests

FAULT_TABLE = $(FOR_22) $(CARGO) run --quiet --locked -p constellation-tests --bin faults --

# Only what the faults need; the other Asterisk is built for where it is asked for.
ASTERISK ?= 22
test-faults: build-$(ASTERISK) ## Faults between real servers under load, a table (FAULTS=name,…, SHORT=yes, ASTERISK=16)
	@$(FAULT_TABLE) --asterisk $(ASTERISK) $(if $(SHORT),--short)

# After the suite, not beside it: what callbacks take is judged.
faults-short: build-22
	@$(FAULT_TABLE) --short

test-memory: build-22 ## All modules under valgrind: load, bursts, faults, reload, unload (some minutes)
	@$(RIG) memory
	$(FOR_22) $(CARGO) test --locked -p constellation-tests --test suite -- --ignored --nocapture memory::

# How long `make soak` lasts, and its events a second
MINUTES ?= 30
RATE ?= 500

soak: build-22 ## Events, calls and a fault a minute for MINUTES (30): do memory, threads, files grow?
	@$(FOR_22) $(CARGO) run --quiet --locked -p constellation-tests --bin soak -- $(MINUTES) $(RATE)

# Valgrind is in that root.
instructions: rig-22 ## What an event costs in instructions, against tests/instructions/bounds
	@$(RIG) memory
	@echo "==> counting instructions"
	@$(FOR_22) tests/instructions/count.sh

BENCH = $(FOR_22) $(CARGO) run --release --quiet --locked -p constellation-tests --bin bench --

bench: build-22 build-gateway ## What publishing costs, beside a C module; the gateway beside nginx (20 minutes; ONLY=apps,sizes: parts of it)
	@$(BENCH) $(if $(ONLY),--only $(ONLY))
	@$(if $(ONLY),:,$(BENCH) --gateway)

bench-quick: build-22 build-gateway ## The same in 5 minutes, with fewer rounds
	@$(BENCH) --quick $(if $(ONLY),--only $(ONLY))
	@$(if $(ONLY),:,$(BENCH) --gateway --quick)

bench-gateway: build-22 build-gateway ## Only the gateway beside nginx, and its index (2 minutes)
	@$(BENCH) --gateway

# Release: what callers and simulated nodes cost is not what is measured.
bench-calls: build-22 build-gateway apps-venv ## Calls through Kamailio into an app, 25 and 1,000 nodes (15 minutes; QUICK=yes: 4)
	@$(FOR_22) $(CARGO) run --release --quiet --locked -p constellation-tests --bin bench-calls -- $(if $(QUICK),--quick)

test: check audit unit test-apps fuzz-short instructions suite faults-short ## Everything that must pass

DEMO = $(FOR_22) $(CARGO) run --quiet --locked -p constellation-tests --bin demo --

demo: build-22 build-gateway apps-venv ## The whole system on this machine: people talk over two nodes, a drain, a kill; then all of it gone
	@$(DEMO) demo

NODES ?= 2
up: build-22 build-gateway apps-venv ## The same system, left running to call it (NODES=2, 1 to 8)
	@NODES=$(NODES) $(DEMO) up

call: ## Call what `make up` left running, from the terminal (NUMBER=8000 TONE=440)
	@$(DEMO) call

watch: ## Print the events of what `make up` left running, as they come
	@$(DEMO) watch

down: ## End what `make up` left running
	@$(DEMO) down

clean: ## Remove what was built; the rig's servers stay in the cache folder
	$(CARGO) clean

help: ## This list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 17
