#!/usr/bin/env bash
# Makes everything go wrong, hundreds of times, on a throwaway deployment, and prints what came of
# it; exit status 1 if anything was lost. As root, so that disks of a chosen size can be mounted.
#   fault-campaign.sh [--seed N] [--try N] [KIND…]     see fault-campaign --help
set -euo pipefail
unset CDPATH
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."

./scripts/dependencies.sh
cargo build --workspace --bins --locked --quiet
built="$(cargo metadata --format-version 1 --no-deps --locked | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/debug"
exec "$built/fault-campaign" "$@"
