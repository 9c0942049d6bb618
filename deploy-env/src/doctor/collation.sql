SET statement_timeout = '8s';
SELECT pg_catalog.json_build_array(datcollversion, pg_catalog.pg_database_collation_actual_version(oid))
FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database();
