-- Queries that check the rows of each column that holds a domain inside of its type: to read a value again from its text
-- checks it.
WITH RECURSIVE holding AS (
  SELECT y.oid FROM pg_catalog.pg_type y JOIN pg_catalog.pg_namespace n ON n.oid = y.typnamespace
  WHERE n.nspname = :'schema' AND y.typname = :'domain'
  UNION SELECT outer_type.oid
  FROM holding h CROSS JOIN LATERAL (
    SELECT y.oid FROM pg_catalog.pg_type y WHERE y.typelem = h.oid OR y.typbasetype = h.oid
    UNION ALL SELECT r.rngtypid FROM pg_catalog.pg_range r WHERE r.rngsubtype = h.oid
    -- Before PostgreSQL 14, there are no multiranges.
    UNION ALL SELECT (pg_catalog.to_jsonb(r) ->> 'rngmultitypid')::pg_catalog.oid
    FROM pg_catalog.pg_range r WHERE r.rngtypid = h.oid
    UNION ALL SELECT c.reltype FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    WHERE a.atttypid = h.oid AND a.attnum > 0 AND NOT a.attisdropped) outer_type
  WHERE outer_type.oid <> 0)
SELECT coalesce(pg_catalog.string_agg(pg_catalog.format(E'SELECT pg_catalog.count(%I::pg_catalog.text::%s) FROM ONLY %s;\n',
  a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), c.oid::pg_catalog.regclass), ''
  ORDER BY c.oid::pg_catalog.regclass::pg_catalog.text, a.attnum), '')
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
WHERE a.atttypid IN (SELECT oid FROM holding) AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'm')
