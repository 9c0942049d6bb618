select pg_catalog.json_build_array(
  (select oid::pg_catalog.int8 from pg_catalog.pg_database where datname = :'db'),
  coalesce((select datistemplate from pg_catalog.pg_database where datname = :'db'), false),
  (select pg_catalog.count(*) from pg_catalog.pg_prepared_xacts where database = :'db'),
  (select rolcreatedb or rolsuper from pg_catalog.pg_roles where rolname = current_user));
