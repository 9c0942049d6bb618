-- The checks of a table, of the tables that it inherits them from, and of the domains in its columns' types. Parents come
-- before their children, which cannot lose what they inherit.
WITH RECURSIVE t AS (
  SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = :'schema' AND c.relname = :'table'),
family AS (
  SELECT oid, 0 AS above FROM t
  UNION SELECT i.inhparent, f.above + 1 FROM family f JOIN pg_catalog.pg_inherits i ON i.inhrelid = f.oid),
types AS (
  SELECT a.atttypid AS oid FROM pg_catalog.pg_attribute a JOIN t ON a.attrelid = t.oid
  UNION SELECT part.oid
  FROM types JOIN pg_catalog.pg_type y ON y.oid = types.oid CROSS JOIN LATERAL (
    SELECT y.typelem
    UNION ALL SELECT y.typbasetype
    UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = y.oid
    UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a WHERE a.attrelid = y.typrelid AND a.attnum > 0) part (oid)),
checks AS (
  SELECT 'TABLE' AS kind, '' AS of, conrelid::pg_catalog.regclass::text AS owner, conname, k.oid, f.above
  FROM pg_catalog.pg_constraint k
    JOIN (SELECT oid, pg_catalog.max(above) AS above FROM family GROUP BY oid) f ON f.oid = k.conrelid
  WHERE contype = 'c' AND conislocal AND (f.above = 0 OR NOT connoinherit)
  UNION ALL SELECT 'DOMAIN', 'DOMAIN ', contypid::pg_catalog.regtype::text, conname, oid, 0
  FROM pg_catalog.pg_constraint WHERE contype = 'c' AND contypid <> 0 AND contypid IN (SELECT oid FROM types))
SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
  'drop', pg_catalog.format('ALTER %s %s DROP CONSTRAINT IF EXISTS %I;', kind, owner, conname) || E'\n',
  'add', pg_catalog.format('ALTER %s %s ADD CONSTRAINT %I %s;', kind, owner, conname,
    pg_catalog.pg_get_constraintdef(oid)) || E'\n',
  'calls', EXISTS (
    SELECT FROM pg_catalog.pg_depend d
    LEFT JOIN pg_catalog.pg_operator o
      ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
    WHERE d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = checks.oid
      AND (d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.refobjid >= 16384 OR o.oprcode >= 16384)),
  'reads_name', pg_catalog.pg_get_constraintdef(oid) ~* :'name' OR EXISTS (
    SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid
    WHERE d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = checks.oid
      AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
      AND CASE WHEN p.prokind <> 'a' THEN pg_catalog.pg_get_functiondef(p.oid) ~* :'name_in_body' END),
  'comment', CASE WHEN pg_catalog.obj_description(oid, 'pg_constraint') IS NOT NULL THEN
    pg_catalog.format('COMMENT ON CONSTRAINT %I ON %s%s IS %L;', conname, of, owner,
      pg_catalog.obj_description(oid, 'pg_constraint')) || E'\n' END) ORDER BY above DESC), '[]')
FROM checks
