-- Who has locked tables of this database against readers, and what ends it. A prepared transaction has no session; its own
-- lock on its number shows which one it is.
SELECT pg_catalog.string_agg(DISTINCT l.relation::pg_catalog.regclass || ' by ' || coalesce(
    (SELECT CASE coalesce(a.backend_type, 'client backend')
       WHEN 'client backend' THEN
         pg_catalog.format('%s (pid %s); to end it: SELECT pg_terminate_backend(%2$s);', a.usename, a.pid)
       WHEN 'startup' THEN 'a transaction of the primary'
       ELSE pg_catalog.format('%s (pid %s)', a.backend_type, a.pid) END
     FROM pg_catalog.pg_stat_activity a WHERE a.pid = l.pid),
    (SELECT pg_catalog.format('%s (prepared transaction %s); to end it: COMMIT PREPARED %2$L; or ROLLBACK PREPARED %2$L;',
       p.owner, p.gid)
     FROM pg_catalog.pg_locks x JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = x.transactionid
     WHERE l.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid'
       AND x.virtualtransaction = l.virtualtransaction LIMIT 1),
    'another session'), ', ')
FROM pg_catalog.pg_locks l
WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.relation = coalesce(:table, l.relation)
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
