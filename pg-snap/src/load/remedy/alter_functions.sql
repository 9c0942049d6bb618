DECLARE
  statement text;
BEGIN
  FOR statement IN
    SELECT pg_catalog.format(:'format', p.oid::pg_catalog.regprocedure)
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE /*functions*/ AND n.nspname <> 'pg_catalog' AND p.prokind IN ('f', 'p') AND /*condition*/
  LOOP
    EXECUTE statement;
  END LOOP;
END
