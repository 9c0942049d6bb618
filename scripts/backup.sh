#!/usr/bin/env bash
# Makes a bundle of the whole deployment, and prints its path. All options go to backup-run; see
# backup-run --help.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/lib.sh"

find_deployment
run backup-run "$@"
