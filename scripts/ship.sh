#!/usr/bin/env bash
# Copies bundles, encrypted, to the destinations SHIP_1 to SHIP_9.
#   ship.sh --newest | --all | BUNDLE       copies the newest bundle, all that are missing, or one
#   ship.sh list | verify [--sample PERCENT] | prune
#   ship.sh init                            creates the restic repositories that do not exist
# All options go to ship-run; see ship-run --help.
set -euo pipefail
self="${BASH_SOURCE[0]}"
[[ "$self" == */* ]] || self="./$self"
[[ ! -L "$self" ]] || self="$(readlink -f -- "$self")"
# shellcheck source=lib.sh
. "${self%/*}/lib.sh"

find_deployment
find_terminal
run ship-run "$@"
