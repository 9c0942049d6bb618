DECLARE
  columns text;
BEGIN
  SELECT pg_catalog.string_agg(pg_catalog.quote_ident(attname), ', ') INTO columns
  FROM pg_catalog.pg_attribute
  WHERE attrelid = :'table'::pg_catalog.regclass AND attnum > 0 AND NOT attisdropped;
  IF columns IS NOT NULL THEN
    EXECUTE :'analyze' || '(' || columns || ')';
  END IF;
EXCEPTION WHEN OTHERS THEN
  NULL;
END
