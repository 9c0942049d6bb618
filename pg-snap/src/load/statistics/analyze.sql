DECLARE
  part pg_catalog.regclass;
  columns text;
BEGIN
  EXECUTE :'set';
  -- ANALYZE of a partitioned table analyzes its partitions, too: each by itself only where that fails.
  FOR part IN
    SELECT :'table'::pg_catalog.regclass
    UNION ALL SELECT relid FROM pg_catalog.pg_partition_tree(:'table') WHERE level > 0
  LOOP
    SELECT pg_catalog.string_agg(pg_catalog.quote_ident(attname), ', ') INTO columns
    FROM pg_catalog.pg_attribute
    WHERE attrelid = part AND attnum > 0 AND NOT attisdropped;
    CONTINUE WHEN columns IS NULL;
    BEGIN
      EXECUTE 'ANALYZE ' || part || ' (' || columns || ')';
      EXIT WHEN part = :'table'::pg_catalog.regclass;
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
  END LOOP;
-- The role may not look up the table, or its name may have no form in the server's encoding.
EXCEPTION WHEN OTHERS THEN
  NULL;
END
