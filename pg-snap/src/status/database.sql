select pg_catalog.json_build_array(
  pg_catalog.pg_database_size(pg_catalog.current_database()),
  (select count(*) from pg_catalog.pg_stat_activity
   where datname = pg_catalog.current_database() and pid <> pg_catalog.pg_backend_pid()),
  (select coalesce(pg_catalog.json_agg(nspname order by nspname), '[]') from pg_catalog.pg_namespace
   where nspname !~ '^pg_' and nspname <> 'information_schema'));
