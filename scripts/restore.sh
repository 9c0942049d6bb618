#!/usr/bin/env bash
# Rebuilds the deployment from a bundle. Destructive on purpose: replaces all current data.
#   restore.sh                              lists the bundles
#   restore.sh BUNDLE [--force-config]      restores one, after the deployment's domain is typed
#   restore.sh FILE.tar.age [-i IDENTITY]   the same from a file of seal.sh, opened below the bundle root
#   restore.sh BUNDLE --resume              goes on with a restore that was broken off
#   restore.sh --abandon                    gives that one up
#   restore.sh BUNDLE --bootstrap           on a new host: puts the configuration in place, and stops
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
  -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$scripts/restore.sh"; exit 0 ;;
esac
find_deployment
# Where there are no settings yet, or half of them, there is nothing to resolve: restore-run says what to do.
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
# What came out of the file goes once the restore is complete: the commands that are told until then name it.
finish() {
  local status=$?
  trap - EXIT
  trap '' INT TERM HUP
  end_stage
  if (( status == 0 )) && [[ -z "$bootstrap" && ! -e "$PIPRIO_DEPLOY/.restore/unfinished.json" ]]; then
    rm -rf -- "$unsealed"
  elif [[ -d "$unsealed" ]]; then
    say "$bundle lies there in the clear, to go on with; when it is not needed any more: rm -rf '$unsealed'"
  fi
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
if [[ -f "$bundle" ]]; then
  # Holding the lock, what lies there is an earlier run's, and comes out of its file again.
  rm -rf -- "$unsealed"
  stage bash "$scripts/unseal.sh" "$bundle" "${key[@]}" "$unsealed" >/dev/null
  bundle="$(printf '%s' "$unsealed"/piprio_*)"
fi
stage restore-run "$bundle" "${options[@]}"
