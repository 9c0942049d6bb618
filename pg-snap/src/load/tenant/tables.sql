SELECT coalesce(pg_catalog.json_agg(relname), '[]')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace AND nspname = :'schema'
WHERE relkind IN ('r', 'p', 'm')
