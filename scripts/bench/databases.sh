# shellcheck shell=bash disable=SC2154 # What bench.sh has set.
# Dump and load of two databases: the multi-tenant one, and pgbench's with a few big tables.

jobs="$(nproc)"

# bench_database KIND: multi-tenant or pgbench.
bench_database() {
  local title facts
  log "filling the $1 database"
  stage fresh_database bench
  case "$1" in
    multi-tenant)
      title="multi-tenant, ${option[tenants]} schemas × ${option[docs]} documents"
      stage fill "${option[sql]:-$root/tests/fixtures/bench.sql}" \
        -v "tenants=${option[tenants]}" -v "docs=${option[docs]}" ;;
    pgbench)
      title="pgbench, scale ${option[scale]}, with foreign keys"
      stage pgbench --initialize --quiet --scale="${option[scale]}" --foreign-keys bench &> "$work/fill.log" ||
        die 1 "pgbench: $(tail -n 1 "$work/fill.log")" ;;
  esac
  # Else the first to read it would write what the filling left to be cleared up.
  stage vacuumdb --quiet --analyze bench
  stage size_of_bench > "$work/facts"
  facts="$(< "$work/facts")"
  if [[ -v wanted[dump] ]]; then
    dump_rows
    measure "dump $1" nothing nothing
    report "dump $1" "Dump: $title" "$facts" 'pg_dump > /dev/null' 'pg_dump | pigz'
    python3 "$root/scripts/bench/curve.py" "$out/runs.tsv" "dump $1" > "$out/curve-$1.svg"
  fi
  if [[ -v wanted[load] ]]; then
    make_dumps
    load_rows
    measure "load $1" fresh_copy same_rows
    report "load $1" "Load: $title" "$facts" 'gunzip -c | psql'
  fi
  stage drop_all
}

# fill FILE PSQL_OPTION…
fill() { psql -X -q -v ON_ERROR_STOP=1 "${@:2}" -d bench -f "$1" < /dev/null > /dev/null; }

size_of_bench() {
  local disk text
  disk="$(sql bench 'select pg_database_size(current_database())')"
  text="$(pg_dump bench | wc -c)" || text=0
  awk -v disk="$disk" -v text="$text" 'BEGIN {
    printf "%.0f MB on disk", disk / 1e6
    if (text > 0) printf ", %.0f MB as SQL", text / 1e6
    print "." }'
}

# shellcheck disable=SC2016 # Expanded where they are run.
dump_rows() {
  row bound 'pg_dump > /dev/null' 'pg_dump bench > /dev/null'
  row peer 'pg_dump | gzip' 'pg_dump bench | gzip > "$OUT"'
  row peer 'pg_dump | pigz' 'pg_dump bench | pigz > "$OUT"'
  row peer 'pg_dump -Fc' 'pg_dump -Fc -f "$OUT" bench'
  row peer "pg_dump -Fd -j$jobs" "pg_dump -Fd -j$jobs"' -f "$OUT" bench'
  row peer "pg_dump -Fd -j$jobs -Z1" "pg_dump -Fd -j$jobs -Z1"' -f "$OUT" bench'
  local level method client="${option[clients]:-}"
  if [[ -n "$client" ]]; then
    for method in lz4 zstd:1 zstd:3; do
      row peer "pg_dump -Fd -j$jobs --compress=$method" "$client/pg_dump -Fd -j$jobs --compress=$method"' -f "$OUT" bench'
    done
  fi
  for level in fast default small; do
    row ours "pg-snap dump --level $level" "PGDATABASE=bench pg-snap --quiet dump --level $level"' > "$OUT"'
  done
}

# What is loaded: each peer's own kind of dump, and ours.
# shellcheck disable=SC2016 # Expanded where they are run.
make_dumps() {
  log 'dumping what will be loaded'
  export DUMPS="$work/dumps"
  make_dump plain.sql.gz 'pg_dump bench | gzip > "$DUMP"'
  make_dump custom 'pg_dump -Fc -f "$DUMP" bench'
  make_dump directory 'pg_dump -Fd -f "$DUMP" bench'
  make_dump ours.sql.gz 'PGDATABASE=bench pg-snap --quiet dump > "$DUMP"'
}

# make_dump NAME COMMAND: COMMAND writes to "$DUMP". Where it fails, so does the row that would load
# it, for there is nothing: half a dump would be loaded sooner.
make_dump() {
  export DUMP="$DUMPS/$1"
  rm -rf -- "$DUMP"
  stage bash -euo pipefail -c "$2" && return
  log "failed: $2"
  rm -rf -- "$DUMP"
}

# shellcheck disable=SC2016 # Expanded where they are run.
load_rows() {
  row peer 'gunzip -c | psql' \
    'gunzip -c "$DUMPS/plain.sql.gz" | psql -X -q -v ON_ERROR_STOP=1 -d copy > /dev/null'
  row peer "pg_restore -j$jobs from -Fc" "pg_restore -j$jobs"' --exit-on-error -d copy "$DUMPS/custom"'
  row peer "pg_restore -j$jobs from -Fd" "pg_restore -j$jobs"' --exit-on-error -d copy "$DUMPS/directory"'
  row ours 'pg-snap load' 'PGDATABASE=copy pg-snap --quiet load "$DUMPS/ours.sql.gz"'
  row ours 'pg-snap load of pg_dump | gzip' 'PGDATABASE=copy pg-snap --quiet load "$DUMPS/plain.sql.gz"'
}

fresh_copy() { fresh_database copy; }

# How many rows each table has, and how many of each kind of relation there are.
rows_of() {
  psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$1" <<'SQL'
with own as (select oid::regclass::text as name, relkind from pg_class
  where relnamespace not in (select oid from pg_namespace where nspname in ('pg_catalog', 'information_schema', 'pg_toast')))
select format('select %L, count(*) from %s', name, name) from own where relkind in ('r', 'm')
union all
select format('select %L, %L', relkind, count(*)) from own group by relkind
order by 1
\gexec
SQL
}

# same_rows ROW: a load that brought back less would be a fast one.
same_rows() {
  [[ -s "$work/rows" ]] || stage rows_of bench > "$work/rows"
  stage rows_of copy > "$work/rows.copy"
  cmp -s -- "$work/rows" "$work/rows.copy" || die 1 "$1: the copy does not have the rows that the database has"
}

drop_all() {
  fresh_database copy
  fresh_database bench
  rm -rf -- "$work/rows" "${DUMPS:-$work/dumps}"/*
}
