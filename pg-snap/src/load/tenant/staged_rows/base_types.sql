DECLARE
  stage text := /*stage*/;
  change text;
BEGIN
  -- A domain's checks may call functions.
  FOR change IN
    WITH RECURSIVE base (attname, type, typmod, depth) AS (
      SELECT attname, atttypid, atttypmod, 0 FROM pg_catalog.pg_attribute
      WHERE attrelid = stage::pg_catalog.regclass AND attnum > 0
      UNION ALL SELECT b.attname, t.typbasetype, t.typtypmod, b.depth + 1
      FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.type AND t.typtype = 'd')
    SELECT pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I TYPE %s', stage, attname,
      pg_catalog.format_type(type, typmod))
    FROM base JOIN pg_catalog.pg_type t ON t.oid = type AND t.typtype <> 'd'
    WHERE depth > 0
  LOOP
    EXECUTE change;
  END LOOP;
END
