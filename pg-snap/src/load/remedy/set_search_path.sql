DECLARE
  routine oid;
  changed oid[] := '{}';
BEGIN
  FOR routine IN
    SELECT p.oid
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE /*functions*/ AND n.nspname <> 'pg_catalog' AND p.prokind IN ('f', 'p')
      AND NOT coalesce(p.proconfig::text LIKE '%search_path=%', false)
  LOOP
    EXECUTE pg_catalog.format(:'format', routine::pg_catalog.regprocedure);
    changed := changed || routine;
  END LOOP;
  -- Until the end of the transaction.
  PERFORM pg_catalog.set_config('pg_snap.changed', changed::text, true);
END
