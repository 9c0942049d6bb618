#!/usr/bin/env bash
# Checks the deployment and prints a line for each service. Exit status 1 if any check fails.
# Options are passed to health-probe; see health-probe --help.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/lib.sh"

find_deployment
run health-probe "$@"
