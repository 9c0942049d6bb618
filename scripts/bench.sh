#!/usr/bin/env bash
# Benchmarks the tools against their common alternatives, on a PostgreSQL server of its own with
# default settings, and prints the tables of docs/BENCHMARKS.md. Installs hyperfine and pigz if they
# are missing; leaves nothing else behind.
#   bench.sh [WHAT…] [OPTION…]   WHAT: dump, load, many-tables, objects [all]
#     --runs N                   runs of each command, interleaved [5]
#     --out DIR                  directory of results.md and runs.tsv [bench/ in cargo's target directory]
#     --tenants N  --docs N      the multi-tenant database: schemas, documents in each [40, 15000]
#     --sql FILE                 another file that fills it, with the same two psql variables
#     --scale N                  the pgbench database's scale factor [50]
#     --schemas N                the database of many tables: schemas of ten tables each [1000]
#     --clients DIR              bin directory of a pg_dump 16 or later, for lz4 and zstd [none]
# Databases and dumps lie in TMPDIR, some 5 GB at a time, and 10 GB of objects, which are measured by
# bench-objects.sh where its Garage server is on PATH. A failed command is reported in its table;
# exit status 1 if it belongs to this toolkit.
set -euo pipefail
umask 077
unset CDPATH
export LC_ALL=C PYTHONDONTWRITEBYTECODE=1

root="$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.." && pwd)"
log() { printf 'bench.sh: %s\n' "$*" >&2; }
die() { log "${@:2}"; exit "$1"; }
# shellcheck source=bench/stage.sh
. "$root/scripts/bench/stage.sh"
# shellcheck source=bench/server.sh
. "$root/scripts/bench/server.sh"
# shellcheck source=bench/measure.sh
. "$root/scripts/bench/measure.sh"
# shellcheck source=bench/report.sh
. "$root/scripts/bench/report.sh"
# shellcheck source=bench/databases.sh
. "$root/scripts/bench/databases.sh"
# shellcheck source=bench/many-tables.sh
. "$root/scripts/bench/many-tables.sh"

# What can be measured. One more is a file in scripts/bench/, a word here, and a call at the end.
parts=(dump load many-tables objects)
declare -A wanted=()
declare -A option=([runs]=5 [out]='' [tenants]=40 [docs]=15000 [sql]='' [scale]=50 [schemas]=1000 [clients]='')
while (( $# > 0 )); do
  case "$1" in
    -h | --help) sed -n '2,16s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    --*)
      name="${1#--}"
      [[ "$name" =~ ^[a-z]+$ && -v "option[$name]" ]] || die 2 "unknown option $1; see bench.sh -h"
      (( $# > 1 )) || die 2 "$1 needs a value"
      [[ "$name" =~ ^(out|sql|clients)$ || "$2" =~ ^[1-9][0-9]{0,8}$ ]] || die 2 "$1 needs a number from 1"
      option[$name]="$2"
      shift 2 ;;
    *)
      [[ " ${parts[*]} " == *" $1 "* ]] || die 2 "there is no '$1' to measure, but ${parts[*]}"
      wanted[$1]=yes
      shift ;;
  esac
done
(( ${#wanted[@]} > 0 )) || for part in "${parts[@]}"; do wanted[$part]=yes; done
if [[ -n "${option[sql]}" ]]; then
  [[ -r "${option[sql]}" ]] || die 2 "--sql: ${option[sql]} cannot be read"
  option[sql]="$(readlink -f -- "${option[sql]}")"
fi

if [[ -n "${option[clients]}" ]]; then
  [[ -x "${option[clients]}/pg_dump" ]] || die 2 "--clients: there is no pg_dump in ${option[clients]}"
  option[clients]="$(readlink -f -- "${option[clients]}")"
fi

"$root/scripts/dependencies.sh" bench
target="$(cd -- "$root" && cargo metadata --format-version 1 --no-deps --locked | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')"
out="$(readlink -m -- "${option[out]:-$target/bench}")"
mkdir -p -- "$out"
make_work
stage inside "$root" cargo build --release --locked --quiet -p pg-snap
stage inside "$root" cargo build --locked --quiet -p test-kit --bin bench
# Somebody may build anew while this runs.
install -D -t "$work/bin" -- "$target/release/pg-snap" "$target/debug/bench"
PATH="$work/bin:$PATH"

start_server
begin_report
if [[ -v wanted[dump] || -v wanted[load] ]]; then
  bench_database 'multi-tenant'
  bench_database 'pgbench'
fi
if [[ -v wanted[many-tables] ]]; then bench_many_tables; fi
if [[ -v wanted[objects] ]]; then
  if command -v garage > /dev/null; then
    printf '\n### Objects\n\n' | append_results
    stage "$root/scripts/bench-objects.sh" --runs "${option[runs]}" --out "$out" || ours_failed=$(( ours_failed + 1 ))
    cat -- "$out/results-objects.md" >> "$out/results.md"
  else
    log 'skipped: objects, for garage is not on PATH (cargo install garage --locked)'
  fi
fi
log "the tables are in $out/results.md, every run in $out/runs.tsv"
(( ours_failed == 0 )) || die 1 "of our own commands, $ours_failed runs failed"
