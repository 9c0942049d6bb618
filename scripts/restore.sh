#!/usr/bin/env bash
# Rebuilds the deployment from a bundle. Destructive on purpose: replaces all current data.
#   restore.sh                              lists the bundles
#   restore.sh BUNDLE [--force-config]      restores one, after the deployment's domain is typed
# Every other option goes to restore-run; see restore-run --help.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/lib.sh"

if (( $# == 0 )); then
  find_deployment
  root="$(deploy-env get --deploy "$PIPRIO_DEPLOY" BACKUP_ROOT)"
  exec bundle-manifest list "$root"
fi
case "$1" in
  -h | --help) sed -n '2,5s/^# \{0,1\}//p' "$scripts/restore.sh"; exit 0 ;;
esac
resolve restore.sh "$@"
exec restore-run "$@"
