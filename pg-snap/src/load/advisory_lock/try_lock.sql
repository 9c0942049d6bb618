-- An advisory lock belongs to the database of its session, which may be another one for another role: so the lock
-- counts only if no other session holds it anywhere.
SELECT CASE WHEN pg_catalog.pg_try_advisory_lock(pg_catalog.hashtext('pg-snap load'), pg_catalog.hashtext(:'database'))
  THEN NOT EXISTS (
    SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2
      AND (classid, objid) = (pg_catalog.hashtext('pg-snap load')::bit(32)::bigint::oid,
        pg_catalog.hashtext(:'database')::bit(32)::bigint::oid)
      AND pid <> pg_catalog.pg_backend_pid())
  ELSE false END
