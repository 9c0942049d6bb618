#!/usr/bin/env bash
# Rebuilds the deployment from a bundle. Destructive on purpose: replaces all current data.
#   restore.sh                              lists the bundles
#   restore.sh BUNDLE [--force-config]      restores one, after the deployment's domain is typed
#   restore.sh FILE.tar.age [-i IDENTITY]   the same from a file of seal.sh, opened below the bundle root
#   restore.sh s3://BUCKET/….tar.age [-i IDENTITY] | restic:REPOSITORY:BUNDLE | SHIP_n:BUNDLE [-i IDENTITY]
#                                           the same from a copy of ship.sh
#   restore.sh BUNDLE --resume              continues an unfinished restore
#   restore.sh --abandon                    abandons it
#   restore.sh BUNDLE --bootstrap           on a new host: puts the configuration in place, and stops
# All other options go to restore-run; see restore-run --help.
set -euo pipefail
self="${BASH_SOURCE[0]}"
[[ "$self" == */* ]] || self="./$self"
[[ ! -L "$self" ]] || self="$(readlink -f -- "$self")"
# shellcheck source=lib.sh
. "${self%/*}/lib.sh"

if (( $# == 0 )); then
  find_deployment
  capture deploy-env get --deploy "$PIPRIO_DEPLOY" BACKUP_ROOT
  run bundle-manifest list "$REPLY"
fi
case "$1" in
  -h | --help) sed -n '2,11s/^# \{0,1\}//p' "$scripts/restore.sh"; exit 0 ;;
esac
find_deployment
# Without settings, or with broken ones, restore-run prints what to do.
capture deploy-env get --deploy "$PIPRIO_DEPLOY" BACKUP_ROOT 2>/dev/null || REPLY="$PIPRIO_DEPLOY/backups"
root="$REPLY"
unsealed="$root/.unsealed"
if ! is_copy "$1"; then
  # A path that cannot be resolved is restore-run's to report.
  capture readlink -m -- "$unsealed" 2>/dev/null || REPLY="$unsealed"
  within="$REPLY/"
  capture readlink -m -- "$1" 2>/dev/null || REPLY=''
  [[ "$REPLY" == "$within"* ]] || run restore-run "$@"
fi

# Nothing is decrypted for a restore whose settings do not resolve.
[[ ! -e "$PIPRIO_DEPLOY/.env" || " $* " == *" --bootstrap "* ]] || deploy-env --deploy "$PIPRIO_DEPLOY" -- true
bundle="$1"
shift
split_keys "$@"
bootstrap=''
[[ " ${options[*]} " != *" --bootstrap "* ]] || bootstrap=yes
mkdir -p -- "$root"
exec 8>>"$root/.unsealed.lock"
flock -n 8 || die 5 "another restore of an encrypted bundle is running (it holds $root/.unsealed.lock); nothing was done"

# The decrypted bundle is removed once the restore is complete: the commands that are printed until then name it.
finish() {
  local status="$1" journal="$PIPRIO_DEPLOY/.restore/unfinished.json" begun=''
  trap - EXIT
  trap '' INT TERM HUP
  end_stage
  if (( status == 0 )) && [[ -z "$bootstrap" && ! -e "$journal" ]]; then
    rm -rf -- "$unsealed"
  elif [[ -d "$unsealed" ]]; then
    if [[ -d "$bundle" ]]; then
      log "the decrypted bundle $bundle is kept, so that the restore can continue; once it is no longer needed: rm -rf '$unsealed'"
    else
      log "a decrypted bundle is kept in '$unsealed'; once it is no longer needed: rm -rf '$unsealed'"
    fi
  fi
  # Another one may have been decrypted in its place.
  if [[ -f "$journal" && "$(<"$journal")" =~ /\.unsealed/(piprio_[0-9]{8}T[0-9]{6}Z)\" ]]; then
    begun="${BASH_REMATCH[1]}"
    [[ -d "$unsealed/$begun" ]] ||
      log "the unfinished restore is of $begun, which is no longer decrypted in '$unsealed'; to continue it from its encrypted copy: bash '$scripts/restore.sh' COPY-OF-$begun --resume, with the same key"
  fi
  exit "$status"
}
finish_at_end
if is_copy "$bundle"; then
  # What an earlier run has left there is decrypted again.
  unseal "$bundle" "$unsealed"
fi
stage restore-run "$bundle" "${options[@]}"
