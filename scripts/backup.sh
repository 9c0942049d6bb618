#!/usr/bin/env bash
# Makes a bundle of the whole deployment, and prints its path. All options go to backup-run; see
# backup-run --help.
set -euo pipefail
self="${BASH_SOURCE[0]}"
[[ "$self" == */* ]] || self="./$self"
[[ ! -L "$self" ]] || self="$(readlink -f -- "$self")"
# shellcheck source=lib.sh
. "${self%/*}/lib.sh"

find_deployment
run backup-run "$@"
