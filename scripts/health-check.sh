#!/usr/bin/env bash
# Checks the deployment and prints a line for each service. Exit status 1 if any check fails.
# Options are passed to health-probe; see health-probe --help.
set -euo pipefail
self="${BASH_SOURCE[0]}"
[[ "$self" == */* ]] || self="./$self"
[[ ! -L "$self" ]] || self="$(readlink -f -- "$self")"
# shellcheck source=lib.sh
. "${self%/*}/lib.sh"

find_deployment
run health-probe "$@"
