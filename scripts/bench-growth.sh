#!/usr/bin/env bash
# Measures how time and memory grow with the size of the database, the number of schemas and the number of objects, and
# prints the tables of docs/BENCHMARKS.md. On a PostgreSQL and a Garage server of its own. Needs garage on PATH
# (cargo install garage --locked) for the objects.
#   bench-growth.sh [WHAT…] [OPTION…]   WHAT: database, tenants, objects [all]
#     --gigabytes 'N …'   sizes of the database as SQL, in gigabytes [1 4 16]
#     --tenants 'N …'     numbers of schemas, with 100,000 documents in all [1 10 100 1000]
#     --objects 'N …'     numbers of objects of 4 KB each [10000 100000 1000000]
#     --out DIR           directory of results-growth.md, growth.tsv and plots [bench/ in cargo's target directory]
# Everything lies in TMPDIR: 45 GB for 16 GB of SQL, 15 GB for a million objects. Each command runs once, after what was
# written before has reached the disk. Exit status 1 if a command of this toolkit fails.
set -euo pipefail
umask 077
unset CDPATH
export LC_ALL=C PYTHONDONTWRITEBYTECODE=1

root="$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.." && pwd)"
log() { printf 'bench-growth.sh: %s\n' "$*" >&2; }
die() { log "${@:2}"; exit "$1"; }
# shellcheck source=bench/stage.sh
. "$root/scripts/bench/stage.sh"
# shellcheck source=bench/server.sh
. "$root/scripts/bench/server.sh"
# shellcheck source=bench/databases.sh
. "$root/scripts/bench/databases.sh"
# shellcheck source=bench/garage.sh
. "$root/scripts/bench/garage.sh"

parts=(database tenants objects)
declare -A wanted=() option=([gigabytes]='1 4 16' [tenants]='1 10 100 1000' [objects]='10000 100000 1000000' [out]='')
while (( $# > 0 )); do
  case "$1" in
    -h | --help) sed -n '2,13s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    --*)
      name="${1#--}"
      [[ "$name" =~ ^[a-z]+$ && -v "option[$name]" ]] || die 2 "unknown option $1; see bench-growth.sh -h"
      (( $# > 1 )) || die 2 "$1 needs a value"
      [[ "$name" == out || "$2" =~ ^[1-9][0-9]*(\ [1-9][0-9]*)*$ ]] || die 2 "$1 needs numbers from 1"
      option[$name]="$2"
      shift 2 ;;
    *)
      [[ " ${parts[*]} " == *" $1 "* ]] || die 2 "there is no '$1' to measure, but ${parts[*]}"
      wanted[$1]=yes
      shift ;;
  esac
done
(( ${#wanted[@]} > 0 )) || for part in "${parts[@]}"; do wanted[$part]=yes; done

"$root/scripts/dependencies.sh" bench
target="$(cd -- "$root" && cargo metadata --format-version 1 --no-deps --locked | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')"
out="$(readlink -m -- "${option[out]:-$target/bench}")"
mkdir -p -- "$out"
make_work
stage inside "$root" cargo build --release --locked --quiet -p pg-snap -p obj-mirror
stage inside "$root" cargo build --locked --quiet -p test-kit --bin bench
install -D -t "$work/bin" -- "$target/release/pg-snap" "$target/release/obj-mirror" "$target/debug/bench"
PATH="$work/bin:$PATH"
: > "$out/growth.tsv"
ours_failed=''

# measure WHAT NAME SIZE FILE CMD…: runs CMD once. What it writes to standard output goes to FILE.
measure() {
  local what="$1" name="$2" size="$3" file="$4" begin seconds bytes=''
  shift 4
  sync
  [[ -z "$server" ]] || stage settle
  begin="$EPOCHREALTIME"
  if ! stage written_to "$file" bench peak "$work/peak" -- "$@"; then
    log "$what $size: $name failed"
    # A peer that cannot do it has no line.
    [[ "$name" == pg_dump* ]] || ours_failed=yes
    return 0
  fi
  seconds="$(awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.3f", b - a }')"
  [[ "$file" == /dev/null ]] || bytes="$(stat -c %s -- "$file")"
  printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$what" "$name" "$size" "$seconds" "$bytes" "$(< "$work/peak")" >> "$out/growth.tsv"
  log "$what $size: $name: $seconds s"
}

written_to() { "${@:2}" > "$1"; }

# measure_database WHAT SIZE TENANTS DOCS
measure_database() {
  local dump="$work/dumps/dump.sql.gz"
  log "filling a database of $3 schemas × $4 documents"
  stage fresh_database bench
  stage fill "$root/tests/fixtures/bench.sql" -v "tenants=$3" -v "docs=$4"
  stage vacuumdb --quiet --analyze bench
  measure "$1" 'pg_dump > /dev/null' "$2" /dev/null pg_dump bench
  PGDATABASE=bench measure "$1" 'pg-snap dump' "$2" "$dump" pg-snap --quiet dump
  # There may not be room for both.
  stage fresh_database bench
  stage fresh_database copy
  PGDATABASE=copy measure "$1" 'pg-snap load' "$2" /dev/null pg-snap --quiet load "$dump"
  stage fresh_database copy
  rm -f -- "$dump"
}

# Files of 4 KB in folders of a thousand.
make_objects() {
  python3 - "$1" "$2" <<'PYTHON'
import os, random, sys
random.seed(7)
noise = random.randbytes(1 << 20)
for number in range(int(sys.argv[2])):
    folder = f"{sys.argv[1]}/tenant_{number // 25000:04d}/documents/{number // 1000:05d}"
    if number % 1000 == 0:
        os.makedirs(folder)
    start = number * 977 % (len(noise) - 4000)
    with open(f"{folder}/{number:07d}.bin", "wb") as file:
        file.write(noise[start : start + 4000])
PYTHON
}

measure_objects() {
  local count="$1" from="$work/objects-$1" to="$work/mirror-$1" bucket="s3://growth-$1"
  log "making $count objects"
  stage make_objects "$from" "$count"
  stage obj-mirror make-bucket --quiet "$bucket"
  measure objects 'obj-mirror, directory to bucket' "$count" /dev/null obj-mirror --quiet "$from" "$bucket"
  settle_garage
  measure objects 'obj-mirror, bucket to directory' "$count" /dev/null obj-mirror --quiet "$bucket" "$to"
  settle_garage
  measure objects 'obj-mirror, bucket to directory, unchanged' "$count" /dev/null obj-mirror --quiet "$bucket" "$to"
  measure objects 'obj-mirror verify' "$count" /dev/null obj-mirror verify --quiet "$to"
  rm -rf -- "$from" "$to"
}

if [[ -v wanted[database] || -v wanted[tenants] ]]; then start_server; fi
if [[ -v wanted[database] ]]; then
  # 15,000 documents in each of 40 schemas are 0.944 GB of SQL.
  for size in ${option[gigabytes]}; do measure_database database "$size" 40 "$(( size * 15000 * 1000 / 944 ))"; done
fi
if [[ -v wanted[tenants] ]]; then
  for size in ${option[tenants]}; do measure_database tenants "$size" "$size" "$(( 100000 / size ))"; done
fi
stop_server
if [[ -v wanted[objects] ]]; then
  if command -v garage > /dev/null; then
    trap 'stop_garage; take_down' EXIT
    start_garage "$work/garage"
    for size in ${option[objects]}; do measure_objects "$size"; done
  else
    log 'skipped: objects, for garage is not on PATH (cargo install garage --locked)'
  fi
fi
{
  printf -- '- %s, %s cores; %s; %s; %s\n' "$(date -u '+%-d %B %Y')" "$(nproc)" "$(postgres --version 2> /dev/null || true)" \
    "$(garage --version 2> /dev/null | head -n 1 || true)" "commit $(git -C "$root" describe --always --dirty 2> /dev/null || true)"
  python3 "$root/scripts/bench/growth.py" "$out"
} | tee "$out/results-growth.md"
log "the tables are in $out/results-growth.md, the plots beside it"
[[ -z "$ours_failed" ]] || die 1 'a command of this toolkit has failed'
