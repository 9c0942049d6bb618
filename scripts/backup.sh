#!/usr/bin/env bash
# Makes a bundle of the whole deployment.
#   backup.sh [ROOT]     ROOT: where bundles lie [default: BACKUP_ROOT of .env, else DEPLOY/backups]
#   --safety-backup      for a restore, under whose locks it runs; removes no older bundle
#   --accept             what this bundle holds is meant: ends the alarm over bundles that hold far less
#                        than the one before, which keeps older bundles from being removed
# Prints the bundle's path. Exit status: 0 done, 1 failed, 2 usage, 3 some objects failed, 5 refused
# (another run holds the lock, a restore is unfinished, no .env), 128+N signal N. What fails leaves
# no bundle, and every earlier bundle as it was.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/lib.sh"

arguments=("$@")
safety=''
accept=()
case "${1:-}" in
  --safety-backup) safety=yes; shift ;;
  --accept) accept=(--accept); shift ;;
esac
case "${1:-}" in
  -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$scripts/backup.sh"; exit 0 ;;
  -*) die 2 "unknown option $1; usage: backup.sh [--safety-backup | --accept] [ROOT]" ;;
esac
(( $# <= 1 )) || die 2 "too many arguments; usage: backup.sh [ROOT]"
resolve backup.sh "${arguments[@]}"

root="${1:-$BACKUP_ROOT}"
mkdir -p -- "$root" "$PIPRIO_DEPLOY/.restore"
root="$(cd -- "$root" && pwd -P)"
exec 8>>"$PIPRIO_DEPLOY/.restore/lock" 9>>"$root/.lock"
if [[ -z "$safety" ]]; then
  lock 8 "$PIPRIO_DEPLOY/.restore/lock"
  lock 9 "$root/.lock"
  [[ ! -e "$PIPRIO_DEPLOY/.restore/unfinished.json" ]] ||
    die 5 "a restore is unfinished, so this is neither the old state nor the new; nothing was done; finish it (restore.sh BUNDLE --resume), or give it up: bash $scripts/restore.sh --abandon"
fi

partial=''
finish() {
  local status=$?
  trap - EXIT
  trap '' INT TERM HUP
  end_stage
  if [[ -n "$partial" && ! -d "$partial" && -d "$root/$name" ]]; then
    say "FAILED (status $status) after $root/$name was complete: it is whole; older bundles were not pruned"
  elif [[ -n "$partial" ]]; then
    rm -rf -- "$partial"
    say "FAILED (status $status): no bundle was made; earlier bundles in $root are as they were"
  fi
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# Holding the lock, whatever partial lies here is a killed run's.
[[ -n "$safety" ]] || find "$root" -maxdepth 1 -name '.piprio_*.partial' -exec rm -rf -- {} +

name="piprio_$(date -u +%Y%m%dT%H%M%SZ)"
while [[ -e "$root/$name" ]]; do
  sleep 1
  name="piprio_$(date -u +%Y%m%dT%H%M%SZ)"
done
partial="$root/.$name.partial"
mkdir -m 700 -- "$partial"

say "database …"
stage pg-snap dump > "$partial/database.sql.gz"

if [[ "$OBJECT_STORAGE" == bundled ]]; then
  say "objects …"
  link=()
  # What a restore may have to fall back on stands alone.
  if [[ "$BACKUP_LINK" == yes && -z "$safety" ]]; then
    previous="$(bundle-manifest list --quiet --newest --intact --domain "${PIPRIO_DOMAIN:-}" --paths "$root")" ||
      say "warning: the bundles in $root cannot be listed, so this one links to none"
    [[ -z "$previous" || ! -d "$previous/minio" ]] || link=(--link-dest "$previous/minio")
  fi
  stage obj-mirror ${link[@]+"${link[@]}"} "s3://$S3_BUCKET" "$partial/minio"
else
  say "objects: skipped, the object storage is external ($OBJECT_STORAGE_REASON)"
fi

say "config …"
stage cfg-pack create --root "$PIPRIO_DEPLOY" .env --optional secrets --optional certs > "$partial/config.tar.gz"

say "manifest and seal …"
stage bundle-manifest describe "$partial" > "$partial/MANIFEST.txt"
stage bundle-manifest sums "$partial" > "$partial/SHA256SUMS"
stage bundle-manifest publish "$partial"
partial=''

if ! stage bundle-manifest alarm ${accept[@]+"${accept[@]}"} --shrink-percent "$ALARM_SHRINK_PERCENT" "$root/$name"; then
  [[ -n "$safety" ]] || die 1 "$root/$name is complete, but could not be compared with the bundle before it; older bundles were not pruned"
  say "warning: $root/$name is complete, but could not be compared with the bundle before it"
fi
[[ -z "$safety" ]] || exit 0
stage bundle-prune --domain "${PIPRIO_DOMAIN:-}" --record "$PIPRIO_DEPLOY/.restore/retention.json" --keep-days "$BACKUP_KEEP_DAYS" "$root" || die 1 "$root/$name is complete, but pruning older bundles failed"
