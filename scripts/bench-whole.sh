#!/usr/bin/env bash
# Measures backup.sh and restore.sh as a whole, beside their largest parts alone in the same round: the
# dump, the mirror, the check, the load and the push, each as the script runs it. On a PostgreSQL, a Garage
# and a Redis server of its own; prints the tables of docs/BENCHMARKS.md. Needs garage (cargo install
# garage --locked) and redis-server on PATH.
#   bench-whole.sh [OPTION…]
#     --runs N                 rounds [5]
#     --bin DIR                directory of the programs to measure [built from here]
#     --before DIR             directory of other programs, whose backup.sh and restore.sh are measured too
#     --tenants N  --docs N    the database: schemas, documents in each [40, 6000]
#     --megabytes N            6,006 objects of so many megabytes together [600]
#     --out DIR                directory of results-whole.md and runs-whole.tsv [bench/ in cargo's target directory]
# Data lies in TMPDIR, some 3 GB and 2 GB for each round. Exit status 1 if a command of this toolkit fails.
set -euo pipefail
umask 077
unset CDPATH
export LC_ALL=C

root="$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.." && pwd)"
log() { printf 'bench-whole.sh: %s\n' "$*" >&2; }
die() { log "${@:2}"; exit "$1"; }
# shellcheck source=bench/stage.sh
. "$root/scripts/bench/stage.sh"
# shellcheck source=bench/server.sh
. "$root/scripts/bench/server.sh"
# shellcheck source=bench/garage.sh
. "$root/scripts/bench/garage.sh"

declare -A option=([runs]=5 [bin]='' [before]='' [tenants]=40 [docs]=6000 [megabytes]=600 [out]='')
while (( $# > 0 )); do
  case "$1" in
    -h | --help) sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    --*)
      name="${1#--}"
      [[ "$name" =~ ^[a-z]+$ && -v "option[$name]" ]] || die 2 "unknown option $1; see bench-whole.sh -h"
      (( $# > 1 )) || die 2 "$1 needs a value"
      [[ "$name" =~ ^(bin|before|out)$ || "$2" =~ ^[1-9][0-9]{0,8}$ ]] || die 2 "$1 needs a number from 1"
      option[$name]="$2"
      shift 2 ;;
    *) die 2 "unexpected argument $1; see bench-whole.sh -h" ;;
  esac
done
for name in garage redis-server python3; do
  command -v "$name" > /dev/null || die 1 "$name is not on PATH"
done
target="${CARGO_TARGET_DIR:-$root/target}"
out="$(readlink -m -- "${option[out]:-$target/bench}")"
mkdir -p -- "$out"
tools=(deploy-env pg-snap obj-mirror cfg-pack bundle-manifest bundle-prune backup-run restore-run health-probe
  drill-run ship-run compose-driver)
if [[ -z "${option[bin]}" ]]; then
  ( cd -- "$root" && cargo build --quiet --release --locked "${tools[@]/#/-p}" )
  option[bin]="$target/release"
fi

redis=''
make_work
finish() {
  [[ -z "$redis" ]] || kill "$redis" 2> /dev/null || true
  stop_garage
  take_down
}
trap finish EXIT
# Settings of this machine's own must not steer a run.
unset AWS_CA_BUNDLE AWS_SESSION_TOKEN AWS_PROFILE BACKUP_LINK BACKUP_ROOT PIPRIO_DEPLOY REDIS_URL POSTGRES_PASSWORD
start_server
start_garage "$work/garage"
redis_port="$(free_port)"
redis-server --port "$redis_port" --bind 127.0.0.1 --save '' --dir "$work" < /dev/null > "$work/redis.log" 2>&1 &
redis=$!

# deployment NAME BIN: a deployment on these servers, with one service that does nothing.
deployment() {
  local dir="$work/$1"
  "$root/scripts/install.sh" --from "$2" "$dir" 2> "$work/install.log" || die 1 "$(tail -n 1 "$work/install.log")"
  mkdir -p -- "$dir/services" "$dir/secrets"
  printf '%s' "$AWS_SECRET_ACCESS_KEY" > "$dir/secrets/s3_secret_key"
  # A restore refuses a deployment that has no service at all.
  printf '#!/bin/sh\nexit 0\n' > "$dir/services/nothing"
  chmod 0700 -- "$dir/services/nothing"
  touch -- "$dir/services/nothing.oneshot"
  cat > "$dir/.env" <<END
PIPRIO_DOMAIN=bench.example.org
POSTGRES_HOST=$PGHOST
POSTGRES_VIA=tcp
POSTGRES_USER=$PGUSER
POSTGRES_DB=bench
OBJECT_STORAGE=bundled
S3_ENDPOINT=$AWS_ENDPOINT_URL
S3_REGION=$AWS_REGION
S3_BUCKET=documents
S3_ACCESS_KEY=$AWS_ACCESS_KEY_ID
S3_SECRET_KEY_FILE=secrets/s3_secret_key
REDIS_URL=redis://127.0.0.1:$redis_port/0
SERVICE_DRIVER=process
END
}
versions=(now)
deployment now "${option[bin]}"
if [[ -n "${option[before]}" ]]; then versions+=(before); deployment before "${option[before]}"; fi

log 'filling the database and the bucket'
fresh_database bench
psql -X -q -v ON_ERROR_STOP=1 -v "tenants=${option[tenants]}" -v "docs=${option[docs]}" -d bench \
  -f "$root/tests/fixtures/bench.sql" < /dev/null > /dev/null
vacuumdb --quiet --analyze bench
python3 "$root/scripts/bench/objects.py" "$work/objects" "${option[megabytes]}" few
"$work/now/bin/obj-mirror" make-bucket --quiet s3://documents
"$work/now/bin/obj-mirror" --quiet "$work/objects" s3://documents
rm -rf -- "$work/objects"

raw="$out/runs-whole.tsv"
printf 'what\tseconds\tclient\tserver\n' > "$raw"
failed=''
# In hundredths of a second: what the database's processes have used, those that live and those that have ended,
# and what the object storage has.
server_ticks() {
  local pids
  pids="$(pgrep -d , -P "$server" || true)"
  ps -o pid= -p "$server,$garage_pid${pids:+,$pids}" | while read -r pid; do
    awk -v all="$(( pid == server ))" '{ sub(/^.*\) /, ""); print $12 + $13 + all * ($14 + $15) }' "/proc/$pid/stat" 2> /dev/null || true
  done | awk '{ all += $1 } END { print all + 0 }'
}
# timed CMD…: a function or a program; its seconds, and those of the processor for it and all that it started.
timed() {
  local TIMEFORMAT='%R %U %S' status=0
  { time "$@" 2>&3 || status=$?; } 3>&2 2> "$work/time"
  return "$status"
}
# measure WHAT CMD…: one run, with idle servers and a disk that has nothing left to write.
measure() {
  local status=0 before after seconds user system
  settle
  settle_garage
  before="$(server_ticks)"
  stage timed "${@:2}" > "$work/output" 2> "$work/log" || status=$?
  after="$(server_ticks)"
  if (( status != 0 )); then
    failed=yes
    log "$1 failed ($status): $(tail -n 1 "$work/log")"
    return
  fi
  read -r seconds user system < "$work/time"
  printf '%s\t%s\t%s\t%s\n' "$1" "$seconds" "$(awk -v u="$user" -v s="$system" 'BEGIN { print u + s }')" \
    "$(( after - before ))" >> "$raw"
  log "$1: $seconds s"
}
# resolved CMD…: with the settings that the scripts resolve.
resolved() { "$work/now/bin/deploy-env" --deploy "$work/now" -- "$@"; }
bundle_of() { find "$work/$1/backups" -maxdepth 1 -name 'piprio_*' | sort | tail -n 1; }

# restore VERSION BUCKET: of that version's bundle, into a bucket that has nothing.
restore() {
  S3_BUCKET="$2" "$work/$1/scripts/restore.sh" "$(bundle_of "$1")" --confirm bench.example.org --config no
}

export -f resolved
export work
for (( run = 1; run <= option[runs]; run++ )); do
  log "round $run of ${option[runs]}"
  # shellcheck disable=SC2016 # Expanded by the shell that is started.
  measure 'dump' bash -c 'resolved pg-snap --quiet dump > "$work/dump.sql.gz"'
  measure 'mirror' resolved obj-mirror --quiet s3://documents "$work/mirror"
  for version in "${versions[@]}"; do
    measure "backup.sh, $version" "$work/$version/scripts/backup.sh"
  done
  measure 'verify' resolved bundle-manifest verify --quiet "$(bundle_of now)"
  measure 'load' resolved pg-snap --quiet load "$work/dump.sql.gz"
  "$work/now/bin/obj-mirror" make-bucket --quiet "s3://alone-$run"
  measure 'push' resolved obj-mirror --quiet "$(bundle_of now)/minio" "s3://alone-$run"
  for version in "${versions[@]}"; do
    measure "restore.sh, $version" restore "$version" "$version-$run"
    rm -rf -- "$work/$version/backups"
  done
  rm -rf -- "$work/mirror" "$work/dump.sql.gz"
done

python3 "$root/scripts/bench/whole.py" "$raw" "$(nproc)" | tee "$out/results-whole.md"
[[ -z "$failed" ]] || exit 1
