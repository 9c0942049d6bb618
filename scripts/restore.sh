#!/usr/bin/env bash
# Rebuilds the deployment from a bundle. Destructive on purpose: replaces all current data.
#   restore.sh                              lists the bundles
#   restore.sh BUNDLE [--force-config]      restores one, after the deployment's domain is typed
#   restore.sh FILE.tar.age [-i IDENTITY]   the same from a file of seal.sh, opened below the bundle root
#   restore.sh BUNDLE --resume              continues an unfinished restore
#   restore.sh --abandon                    abandons it
#   restore.sh BUNDLE --bootstrap           on a new host: puts the configuration in place, and stops
# All other options go to restore-run; see restore-run --help.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/lib.sh"

if (( $# == 0 )); then
  find_deployment
  root="$(deploy-env get --deploy "$PIPRIO_DEPLOY" BACKUP_ROOT)"
  run bundle-manifest list "$root"
fi
case "$1" in
  -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$scripts/restore.sh"; exit 0 ;;
esac
find_deployment
# Without settings, or with broken ones, restore-run prints what to do.
root="$(deploy-env get --deploy "$PIPRIO_DEPLOY" BACKUP_ROOT 2>/dev/null)" || root="$PIPRIO_DEPLOY/backups"
unsealed="$root/.unsealed"
[[ -f "$1" || "$(readlink -m -- "$1")" == "$(readlink -m -- "$unsealed")"/* ]] || run restore-run "$@"

# Nothing is decrypted for a restore whose settings do not resolve.
[[ ! -e "$PIPRIO_DEPLOY/.env" || " $* " == *" --bootstrap "* ]] || deploy-env --deploy "$PIPRIO_DEPLOY" -- true
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
flock -n 8 || die 5 "another restore of an encrypted bundle is running (it holds $root/.unsealed.lock); nothing was done"

child=''
# stage CMD…: runs a command so that a signal reaches this shell, and through it the command, at once. It
# does not inherit the lock. With PIPE_KIT_PARENT it ends when this shell is killed.
stage() {
  local status=0
  PIPE_KIT_PARENT=$$ "$@" 8>&- <&0 &
  child=$!
  wait "$child" || status=$?
  child=''
  (( status == 0 )) || log "${1##*/} failed (status $status)"
  return "$status"
}

# Ends the command that is running, if one is, and waits until it has cleaned up.
end_stage() {
  [[ -n "$child" ]] || return 0
  kill -TERM "$child" 2>/dev/null || true
  # A stopped process would not receive it.
  kill -CONT "$child" 2>/dev/null || true
  wait "$child" 2>/dev/null || true
}

# The decrypted bundle is removed once the restore is complete: the commands that are printed until then name it.
finish() {
  local status=$?
  trap - EXIT
  trap '' INT TERM HUP
  end_stage
  if (( status == 0 )) && [[ -z "$bootstrap" && ! -e "$PIPRIO_DEPLOY/.restore/unfinished.json" ]]; then
    rm -rf -- "$unsealed"
  elif [[ -d "$unsealed" ]]; then
    log "the decrypted bundle $bundle is kept, so that the restore can continue; once it is no longer needed: rm -rf '$unsealed'"
  fi
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
if [[ -f "$bundle" ]]; then
  # An earlier run has left what lies there; it is decrypted again.
  rm -rf -- "$unsealed"
  stage bash "$scripts/unseal.sh" "$bundle" "${key[@]}" "$unsealed" >/dev/null
  bundle="$(printf '%s' "$unsealed"/piprio_*)"
fi
stage restore-run "$bundle" "${options[@]}"
