# The one front door. Everything is installed into the clone (.venv*, target, dist) but the programs of Kubernetes.
.POSIX:
.PHONY: help demo test test-real differential chaos check wheel bench

help:  ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile

demo: .venv/ready  ## a guided tour: an operator at work on the dev cluster, in about a minute after the build
	@.venv/bin/python examples/tour.py

test: need  ## all tests, with their times, and what could not be run here
	@$$(scripts/find-python | head -n 1) scripts/test.py

SEED = 1
COUNT = 100
differential: .venv/ready  ## COUNT scenarios from SEED on, played to upstream Kopf and to ours; TAKEOVER=1: with kills
	@.venv/bin/python tests/differential/command.py --seed $(SEED) --count $(COUNT) $${TAKEOVER:+--takeover}

test-real: need  ## the tests that a real Kubernetes judges, which it builds and starts; needs Go and openssl
	@$$(scripts/find-python | head -n 1) scripts/test_real.py

chaos: COUNT = 3
chaos: .venv/ready  ## each fault alone and COUNT mixtures from SEED on, over DOOR=python|rust|upstream or all
	@.venv/bin/python tests/chaos --seed $(SEED) --count $(COUNT) $(if $(DOOR),--door $(DOOR)) \
	$(if $(FAULT),--fault '$(FAULT)') $(if $(STEPS),--steps $(STEPS))

check: .venv/ready  ## formatting, lints, types, documentation, licences
	cargo fmt --all --check
	cargo fmt --check --manifest-path tests/clients/flows/kube-rs/Cargo.toml
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
	cargo metadata --locked --format-version 1 --manifest-path bench/Cargo.toml >/dev/null
	@if command -v cargo-deny >/dev/null; then cargo deny --locked check; \
	else echo "cargo-deny is not installed: advisories and licences are not checked (cargo install cargo-deny)"; fi
	.venv/bin/ruff format --check python tests scripts examples bench
	.venv/bin/ruff check python tests scripts examples bench
	.venv/bin/mypy
	cd python && ../.venv/bin/stubtest kopf._native

wheel: .venv/ready  ## one release wheel in dist/
	rm -rf dist
	.venv/bin/maturin build --release --locked --out dist --interpreter .venv/bin/python

# ROUNDS=1 SCALE=0.1 is a quick look; only three rounds of all rows are kept in docs/performance.md, and ROWS=hour in a place
# of its own, which takes its hour and is in no other run.
ROUNDS = 3
SCALE = 1
ROWS =
bench: need  ## the stopwatch: what ours costs beside what exists (ROUNDS=1 SCALE=0.1 for a quick look)
	@$$(scripts/find-python | head -n 1) bench/bench.py --rounds $(ROUNDS) --scale $(SCALE) --rows "$(ROWS)"

need:
	@scripts/need-rust
	@scripts/find-python >/dev/null

# Not a file that Make could date: cargo knows best what is to be built again.
.venv/ready: need
	@scripts/develop $$(scripts/find-python | head -n 1) .venv
