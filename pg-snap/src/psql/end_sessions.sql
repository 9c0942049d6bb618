-- Counts the sessions that it ends. Those of no role are the server's own, such as autovacuum, and end by themselves.
SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(pid/*timeout*/)) FROM pg_catalog.pg_stat_activity
WHERE /*which*/ AND usesysid IS NOT NULL AND pid <> pg_catalog.pg_backend_pid() AND (/*may end*/)
