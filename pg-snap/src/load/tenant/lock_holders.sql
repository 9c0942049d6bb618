-- Who holds locks on these tables against writers.
SELECT pg_catalog.string_agg(DISTINCT usename || ' (pid ' || pid || ') on ' || relation::pg_catalog.regclass, ', ')
FROM pg_catalog.pg_locks JOIN pg_catalog.pg_stat_activity USING (pid)
WHERE granted AND mode NOT IN ('AccessShareLock', 'RowShareLock')
  AND relation IN (SELECT pg_catalog.to_regclass(t) FROM pg_catalog.json_array_elements_text(:'tables') u (t))
