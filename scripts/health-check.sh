#!/usr/bin/env bash
# Checks the deployment's health, service by service. Exit status 1 if a check fails.
# All options go to health-probe; see health-probe --help.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/lib.sh"

find_deployment
exec health-probe "$@"
