# shellcheck shell=bash disable=SC2154 # What bench.sh has set.
# A database of very many tables: what a program costs for each of them.

bench_many_tables() {
  local title="many tables, ${option[schemas]} schemas of ten" facts
  log 'filling the database of many tables'
  stage fresh_database bench
  stage fill "$root/tests/fixtures/many-tables.sql" -v "schemas=${option[schemas]}"
  stage size_of_bench > "$work/facts"
  facts="$(< "$work/facts")"
  many_tables_dump_rows
  measure 'dump many tables' nothing nothing
  report 'dump many tables' "Dump: $title" "$facts" 'pg_dump > /dev/null' 'pg_dump | pigz'
  make_dumps
  load_rows
  measure 'load many tables' fresh_copy same_rows
  report 'load many tables' "Load: $title" "$facts" 'gunzip -c | psql'
  stage drop_all
}

# shellcheck disable=SC2016 # Expanded where they are run.
many_tables_dump_rows() {
  # Nearly all of it is reading the catalog.
  row bound 'pg_dump --schema-only > /dev/null' 'pg_dump --schema-only bench > /dev/null'
  row bound 'pg_dump > /dev/null' 'pg_dump bench > /dev/null'
  row peer 'pg_dump | gzip' 'pg_dump bench | gzip > "$OUT"'
  row peer 'pg_dump | pigz' 'pg_dump bench | pigz > "$OUT"'
  row peer "pg_dump -Fd -j$jobs" "pg_dump -Fd -j$jobs"' -f "$OUT" bench'
  row ours 'pg-snap dump' 'PGDATABASE=bench pg-snap --quiet dump > "$OUT"'
}
