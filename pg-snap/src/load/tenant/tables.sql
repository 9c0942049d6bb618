SELECT coalesce(pg_catalog.json_agg(relname), '[]')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace AND nspname = :'schema'
WHERE relkind IN ('r', 'p', 'm')
  -- The others are analyzed with the table that they are partitions of.
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_inherits JOIN pg_catalog.pg_class p ON p.oid = inhparent
    WHERE inhrelid = c.oid AND p.relkind = 'p' AND p.relnamespace = c.relnamespace
  )
