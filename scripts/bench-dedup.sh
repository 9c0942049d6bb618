#!/usr/bin/env bash
# Measures what nightly dumps add to a repository of restic, beside dumps of other programs, and prints the tables
# of docs/BENCHMARKS.md. On a PostgreSQL server of its own; installs restic if it is missing, leaves nothing else.
#   bench-dedup.sh [OPTION…]
#     --tenants N  --docs N    the database: schemas, documents in each [40, 6000]
#     --sql FILE               another file that fills it, with the same two psql variables
#     --patterns 'NAME …'      what changes in night two, by tests/fixtures/night.sql [blocks tenants recent spread]
#     --repositories N         repositories of night two, each with chunks of its own [5]
#     --nights N               nights of the plot; 0: none [30]
#     --plot NAME              what changes in each of them [tenants]
#     --out DIR                directory of results-dedup.md, dedup.svg, nights.tsv [bench/ in cargo's target directory]
# Databases, dumps and repositories lie in TMPDIR: 8 GB, and 12 GB after thirty nights. Exit status 1 if night two
# adds more than 1.5 times the members that changed and the new objects, in the first pattern.
set -euo pipefail
umask 077
unset CDPATH
export LC_ALL=C PYTHONDONTWRITEBYTECODE=1

root="$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.." && pwd)"
log() { printf 'bench-dedup.sh: %s\n' "$*" >&2; }
die() { log "${@:2}"; exit "$1"; }
# shellcheck source=bench/stage.sh
. "$root/scripts/bench/stage.sh"
# shellcheck source=bench/server.sh
. "$root/scripts/bench/server.sh"
# shellcheck source=bench/databases.sh
. "$root/scripts/bench/databases.sh"

declare -A option=([tenants]=40 [docs]=6000 [sql]="$root/tests/fixtures/bench.sql" [repositories]=5 [nights]=30 [out]=''
  [patterns]='blocks tenants recent spread' [plot]=tenants)
while (( $# > 0 )); do
  case "$1" in
    -h | --help) sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    --*)
      name="${1#--}"
      [[ -v "option[$name]" ]] || die 2 "unknown option $1; see bench-dedup.sh -h"
      (( $# > 1 )) || die 2 "$1 needs a value"
      [[ "$name" =~ ^(out|sql|patterns|plot)$ || "$2" =~ ^[0-9]{1,6}$ ]] || die 2 "$1 needs a number"
      option[$name]="$2"
      shift 2 ;;
    *) die 2 "unexpected argument $1; see bench-dedup.sh -h" ;;
  esac
done
[[ -r "${option[sql]}" ]] || die 2 "--sql: cannot read ${option[sql]}"
option[sql]="$(readlink -f -- "${option[sql]}")"
read -ra patterns <<< "${option[patterns]}"
for pattern in "${patterns[@]}" "${option[plot]}"; do
  [[ "$pattern" =~ ^(tenants|recent|blocks|spread)$ ]] || die 2 "there is no pattern '$pattern'"
done
(( ${#patterns[@]} > 0 )) || die 2 '--patterns needs a name'

"$root/scripts/dependencies.sh" dedup
target="$(cd -- "$root" && cargo metadata --format-version 1 --no-deps --locked | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')"
out="$(readlink -m -- "${option[out]:-$target/bench}")"
mkdir -p -- "$out"
make_work
stage inside "$root" cargo build --release --locked --quiet -p pg-snap
install -D -t "$work/bin" -- "$target/release/pg-snap"
PATH="$work/bin:$PATH"
export RESTIC_PASSWORD=measured RESTIC_CACHE_DIR="$work/cache"
start_server

methods=(ours gzip rsyncable plain)
summary() { python3 "$root/scripts/bench/dedup.py" "$@"; }
size_of() { du -s --bytes -- "$1" | cut -f 1; }

# dump_all DIR DATABASE: the database as each method dumps it.
dump_all() {
  mkdir -p -- "$1/ours" "$1/gzip" "$1/rsyncable" "$1/plain"
  PGDATABASE="$2" pg-snap --quiet dump > "$1/ours/database.sql.gz"
  pg_dump "$2" > "$1/plain/database.sql"
  gzip < "$1/plain/database.sql" > "$1/gzip/database.sql.gz"
  gzip --rsyncable < "$1/plain/database.sql" > "$1/rsyncable/database.sql.gz"
}

# change DATABASE PATTERN NIGHT
change() { psql -X -q -v ON_ERROR_STOP=1 -v pattern="$2" -v night="$3" -d "$1" -f "$root/tests/fixtures/night.sql" < /dev/null > /dev/null; }

# add_objects NIGHT COUNT: objects of 16 KiB, which nothing compresses.
add_objects() {
  local folder="$work/objects/night-$1"
  mkdir -p -- "$folder"
  head --bytes="$(( $2 * 16384 ))" /dev/urandom | split --bytes=16384 --suffix-length=4 --numeric-suffixes - "$folder/object-"
}

# back_up REPOSITORY DIR: adds a night's dump, and the objects; the time of the snapshot is no part of either.
back_up() {
  local place="$work/source/${1##*/}"
  mkdir -p -- "$place"
  rm -rf -- "$place/database"
  cp -r -- "$2" "$place/database"
  restic --quiet --repo "$1" backup "$place" "$work/objects"
}

# add REPOSITORY DIR: backs up, and sets `added` to the bytes by which the repository has grown.
add() {
  local before
  before="$(size_of "$1")"
  stage back_up "$1" "$2"
  added=$(( $(size_of "$1") - before ))
}

fresh_night() {
  PGOPTIONS='-c client_min_messages=warning' sql postgres \
    'drop database if exists night with (force)' 'create database night template bench'
}

# A pattern's night two, in several repositories: nights.tsv has pattern, method, repository, bytes of the dump,
# bytes added, bytes of new objects, bytes of changed members.
night_two() {
  local pattern number method objects changed
  for pattern in "${patterns[@]}"; do
    log "night two, $pattern"
    fresh_night
    stage change night "$pattern" 2
    stage dump_all "$work/dumps/2" night
    changed="$(summary changed "$work/dumps/1/ours/database.sql.gz" "$work/dumps/2/ours/database.sql.gz")"
    objects="$(cat -- "$work/objects/night-2"/* | wc -c)"
    for method in "${methods[@]}"; do
      for (( number = 1; number <= option[repositories]; number++ )); do
        cp -r -- "$work/repositories/$method-$number" "$work/repositories/trial"
        add "$work/repositories/trial" "$work/dumps/2/$method"
        printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$pattern" "$method" "$number" \
          "$(cat -- "$work/dumps/2/$method"/* | wc -c)" "$added" "$objects" "$changed" >> "$out/nights.tsv"
        rm -rf -- "$work/repositories/trial"
      done
    done
    rm -rf -- "$work/dumps/2"
  done
}

first_night() {
  local method number
  for method in "${methods[@]}"; do
    for (( number = 1; number <= option[repositories]; number++ )); do
      restic --quiet --repo "$work/repositories/$method-$number" init --repository-version 2
      stage back_up "$work/repositories/$method-$number" "$work/dumps/1/$method"
    done
  done
}

# Nights one after another: nights-plot.tsv has night, method, bytes of the repository.
many_nights() {
  local night method
  fresh_night
  for method in "${methods[@]}"; do
    mv -- "$work/repositories/$method-1" "$work/repositories/$method"
    rm -rf -- "$work/repositories/$method-"*
  done
  for (( night = 1; night <= option[nights]; night++ )); do
    log "night $night of ${option[nights]}, ${option[plot]}"
    if (( night > 1 )); then
      stage change night "${option[plot]}" "$night"
      [[ -d "$work/objects/night-$night" ]] || add_objects "$night" 60
      stage dump_all "$work/dumps/now" night
      for method in "${methods[@]}"; do stage back_up "$work/repositories/$method" "$work/dumps/now/$method"; done
    fi
    for method in "${methods[@]}"; do
      printf '%s\t%s\t%s\n' "$night" "$method" "$(size_of "$work/repositories/$method")" >> "$out/nights-plot.tsv"
    done
  done
}

: > "$out/nights.tsv"
: > "$out/nights-plot.tsv"
log 'filling the database'
stage fresh_database bench
stage fill "${option[sql]}" -v "tenants=${option[tenants]}" -v "docs=${option[docs]}"
stage vacuumdb --quiet --analyze bench
add_objects 1 6000
stage dump_all "$work/dumps/1" bench
log 'night one'
first_night
# Night two finds the objects of night two.
add_objects 2 60
night_two
if (( option[nights] > 0 )); then many_nights; fi
{
  printf -- '- %s, %s cores; %s; %s; %s\n' "$(date -u '+%-d %B %Y')" "$(nproc)" "$(restic version)" \
    "$(postgres --version)" "$(gzip --version | head -n 1)"
  printf -- '- %s tenants × %s documents: %s\n' "${option[tenants]}" "${option[docs]}" "$(size_of_bench)"
} > "$out/results-dedup.md"
status=0
summary tables "$out" "${patterns[0]}" >> "$out/results-dedup.md" || status=$?
cat -- "$out/results-dedup.md"
log "the tables are in $out/results-dedup.md"
(( status == 0 )) || die 1 "night two has added more than it may: ${patterns[0]}"
