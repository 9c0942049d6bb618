#!/usr/bin/env bash
# Injects hundreds of faults into a throwaway deployment and prints the outcomes; exit status 1 if
# anything was lost. Runs as root, so that it can mount disks of a chosen size.
#   fault-campaign.sh [--seed N] [--try N] [KIND…]     see fault-campaign --help
set -euo pipefail
unset CDPATH
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."

./scripts/dependencies.sh
cargo build --workspace --bins --locked --quiet
built="$(cargo metadata --format-version 1 --no-deps --locked | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/debug"
exec "$built/fault-campaign" "$@"
