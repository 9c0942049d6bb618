#!/usr/bin/env bash
# Tells, service by service, whether the deployment is well. Exit status 1 if anything is not.
# Options go to health-probe; see health-probe --help.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/lib.sh"

resolve health-check.sh "$@"
exec health-probe "$@"
