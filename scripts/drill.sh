#!/usr/bin/env bash
# Restores a bundle into a private server, checks the result, and removes it again. Leaves a report.
#   drill.sh                                 drills the newest bundle
#   drill.sh BUNDLE | --newest | --random    drills this one, the newest, or a random intact one older than a week, else the newest
#   drill.sh FILE.tar.age [-i IDENTITY]      the same from a file of seal.sh, opened below DRILL_DIR
#   drill.sh s3://BUCKET/….tar.age [-i IDENTITY] | restic:REPOSITORY:BUNDLE | SHIP_n:BUNDLE [-i IDENTITY]
#                                            the same from a copy of ship.sh
#   drill.sh --verify-reports                checks that no report is missing or was changed
# All other options go to drill-run; see drill-run --help. What was opened is removed at the end.
set -euo pipefail
self="${BASH_SOURCE[0]}"
[[ "$self" == */* ]] || self="./$self"
[[ ! -L "$self" ]] || self="$(readlink -f -- "$self")"
# shellcheck source=lib.sh
. "${self%/*}/lib.sh"

case "${1:-}" in
  -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$scripts/drill.sh"; exit 0 ;;
esac
find_deployment
split_keys "$@"
file=''
before=''
for at in "${!options[@]}"; do
  # The word after one of these is its value.
  if [[ "${options[at]}" != -* && "$before" != --level && "$before" != --only ]] && is_copy "${options[at]}"; then
    file="${options[at]}"
    break
  fi
  before="${options[at]}"
done
# Without settings, or with broken ones, drill-run prints what to do.
capture deploy-env get --deploy "$PIPRIO_DEPLOY" DRILL_DIR 2>/dev/null || REPLY=''
dir="$REPLY"
if [[ -z "$dir" ]]; then
  capture deploy-env get --deploy "$PIPRIO_DEPLOY" BACKUP_ROOT 2>/dev/null || REPLY="$PIPRIO_DEPLOY/backups"
  dir="$REPLY/.drill"
fi
if [[ -z "$file" ]]; then
  (( ${#keys[@]} == 0 )) || die 2 "${keys[0]} needs a FILE to open"
  # What a drill of a file has left that was killed.
  if [[ -d "$dir/.drill-unsealed" ]] && exec 8>>"$dir/.unsealed.lock" && flock -n 8; then
    rm -rf -- "$dir/.drill-unsealed"
  fi
  exec 8>&-
  run drill-run "${options[@]}"
fi

# Nothing is decrypted for a deployment whose settings do not resolve.
deploy-env --deploy "$PIPRIO_DEPLOY" -- true
# From here on every end is that of a drill, which is recorded and reported: by drill-run, once it runs.
begun=''
locked=''
finish() {
  local status="$1"
  trap - EXIT
  trap '' INT TERM HUP
  end_stage
  # A drill with --keep has restored it already.
  [[ -z "$locked" ]] || rm -rf -- "$dir/.drill-unsealed"
  [[ -n "$begun" ]] || drill-run --unopened "$status" "${options[@]}" 8>&- || true
  exit "$status"
}
finish_at_end
mkdir -p -- "$dir"
capture find "$dir" -maxdepth 0 -perm /077
[[ -O "$dir" && -z "$REPLY" ]] ||
  die 5 "$dir belongs to another user, or others may enter it, and a drill opens production's data there; nothing was done; chmod 700 $(printf %q "$dir"), or set DRILL_DIR to another directory"
exec 8>>"$dir/.unsealed.lock"
flock -n 8 || die 5 "another drill of an encrypted bundle is running (it holds $dir/.unsealed.lock); nothing was done"
locked=yes

bundle=''
unseal "$file" "$dir/.drill-unsealed"
options[at]="$bundle"
begun=yes
stage drill-run "${options[@]}"
