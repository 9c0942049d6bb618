#!/usr/bin/env bash
# Rebuilds the deployment from a bundle. This is destructive: it replaces all current data.
#   restore.sh                              lists the bundles
#   restore.sh BUNDLE [--force-config]      restores one, once the deployment's domain is typed
#   restore.sh FILE.tar.age [-i IDENTITY]   the same from a file of seal.sh, unpacked below the bundle root
#   restore.sh BUNDLE --resume              continues an interrupted restore
#   restore.sh --abandon                    abandons an interrupted restore
#   restore.sh BUNDLE --bootstrap           on a new host: installs the configuration, and stops
# All other options are passed to restore-run; see restore-run --help.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/lib.sh"

if (( $# == 0 )); then
  find_deployment
  root="$(deploy-env get --deploy "$PIPRIO_DEPLOY" BACKUP_ROOT)"
  exec bundle-manifest list "$root"
fi
case "$1" in
  -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$scripts/restore.sh"; exit 0 ;;
esac
find_deployment
# Without settings, or with half of them, there is nothing to resolve: restore-run names the next command.
[[ ! -e "$PIPRIO_DEPLOY/.env" || " $* " == *" --bootstrap "* ]] || resolve restore.sh "$@"
root="${BACKUP_ROOT:-$PIPRIO_DEPLOY/backups}"
unsealed="$root/.unsealed"
[[ -f "$1" || "$(readlink -m -- "$1")" == "$(readlink -m -- "$unsealed")"/* ]] || exec restore-run "$@"

bundle="$1"
shift
key=()
options=()
bootstrap=''
while (( $# > 0 )); do
  case "$1" in
    -i | --passphrase-file) (( $# > 1 )) || die 2 "$1 needs a file"; key+=("$1" "$2"); shift 2 ;;
    --bootstrap) bootstrap=yes; options+=("$1"); shift ;;
    *) options+=("$1"); shift ;;
  esac
done
mkdir -p -- "$root"
exec 8>>"$root/.unsealed.lock"
lock 8 "$root/.unsealed.lock"
# The unpacked bundle is removed once the restore is complete: until then, printed commands name it.
finish() {
  local status=$?
  trap - EXIT
  trap '' INT TERM HUP
  end_stage
  if (( status == 0 )) && [[ -z "$bootstrap" && ! -e "$PIPRIO_DEPLOY/.restore/unfinished.json" ]]; then
    rm -rf -- "$unsealed"
  elif [[ -d "$unsealed" ]]; then
    say "$bundle is kept unencrypted so that the restore can continue; once it is no longer needed: rm -rf '$unsealed'"
  fi
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
if [[ -f "$bundle" ]]; then
  # Under the lock, an unpacked bundle can only be an earlier run's; it is unpacked again.
  rm -rf -- "$unsealed"
  stage bash "$scripts/unseal.sh" "$bundle" "${key[@]}" "$unsealed" >/dev/null
  bundle="$(printf '%s' "$unsealed"/piprio_*)"
fi
stage restore-run "$bundle" "${options[@]}"
