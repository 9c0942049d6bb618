#!/usr/bin/env bash
# Runs formatting, lints, ShellCheck, documentation, and every test, on real servers that the tests
# start themselves. Installs missing packages. Lists at the end what was skipped, and why, and what was shown of each
# PostgreSQL major.
set -euo pipefail
unset CDPATH
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."

PIPRIO_TEST_SKIPPED="$(mktemp)"
export PIPRIO_TEST_SKIPPED
trap 'sort -u -- "$PIPRIO_TEST_SKIPPED"; rm -f -- "$PIPRIO_TEST_SKIPPED"' EXIT

./scripts/dependencies.sh
./scripts/postgres-majors.sh || printf 'test.sh: the tests across PostgreSQL majors skip those that are missing\n' >&2
./scripts/monitoring-tools.sh || printf 'test.sh: the tests of contrib/ skip what is missing\n' >&2
mapfile -t shell < <(find scripts .ci tests/compose tests/fixtures/systemctl -type f ! -name '*.py' ! -name '*.yml' ! -name env ! -name Dockerfile | sort)
shellcheck "${shell[@]}"
cargo fmt --all --check
cargo fmt --check --manifest-path fuzz/Cargo.toml
cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --document-private-items --locked --quiet
cargo build --workspace --bins --locked --quiet
# Built once, here: no test needs to call cargo again.
PIPRIO_TEST_BIN_DIR="$(cargo metadata --format-version 1 --no-deps --locked | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/debug"
export PIPRIO_TEST_BIN_DIR
# Most tests wait for servers: twice as many as there are processors keep these busy.
if cargo nextest --version &>/dev/null; then
  cargo nextest run --workspace --locked --test-threads "$(( $(nproc) * 2 ))"
  cargo test --workspace --locked --doc
else
  cargo test --workspace --locked --no-fail-fast -- --test-threads "$(( $(nproc) * 2 ))"
fi

# Nothing may depend on the server's language: some restores run again in German.
if [[ "$(locale -a)" == *de_DE.utf8* ]]; then
  PIPRIO_TEST_LC_MESSAGES=de_DE.UTF-8 cargo test --package restore-run --locked --test restore -- whole::
else
  printf 'skipped: restores with a German server, because the locale de_DE.UTF-8 is missing\n' >> "$PIPRIO_TEST_SKIPPED"
fi
