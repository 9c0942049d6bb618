-- Who holds locks on objects that all databases share.
SELECT pg_catalog.string_agg(DISTINCT usename || ' (pid ' || pid || ')', ', ')
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity USING (pid)
WHERE granted AND l.database = 0 AND locktype IN ('relation', 'object')
  AND mode NOT IN ('AccessShareLock', 'RowShareLock') AND pid <> pg_catalog.pg_backend_pid()
