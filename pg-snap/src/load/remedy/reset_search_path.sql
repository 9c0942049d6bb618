DECLARE
  routine oid;
BEGIN
  FOREACH routine IN ARRAY pg_catalog.current_setting('pg_snap.changed')::oid[] LOOP
    EXECUTE pg_catalog.format('ALTER ROUTINE %s RESET search_path', routine::pg_catalog.regprocedure);
  END LOOP;
END
