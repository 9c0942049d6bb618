DECLARE
  found text;
BEGIN
  SELECT pg_catalog.string_agg(h.inhrelid::pg_catalog.regclass || ' of ' || h.inhparent::pg_catalog.regclass, ', ')
  INTO found FROM pg_catalog.pg_inherits h
  JOIN pg_catalog.pg_class k ON k.oid = h.inhrelid
  JOIN pg_catalog.pg_namespace s ON s.oid = k.relnamespace AND s.nspname = :'schema'
  JOIN pg_catalog.pg_class e ON e.oid = h.inhparent AND e.relnamespace <> s.oid AND e.relkind IN ('r', 'p', 'f');
  IF found IS NOT NULL THEN
    RAISE EXCEPTION 'in the dump, tables of the schema are parts of tables elsewhere: %', found;
  END IF;
END
