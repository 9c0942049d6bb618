-- The checks of a table, of its partitioned parents and of its columns' domains.
WITH t AS (
  SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = :'schema' AND c.relname = :'table'),
family AS (
  SELECT oid FROM t
  UNION SELECT p.relid FROM t, pg_catalog.pg_partition_ancestors(t.oid) p),
types AS (
  SELECT a.atttypid AS oid FROM pg_catalog.pg_attribute a JOIN t ON a.attrelid = t.oid
  UNION SELECT y.typelem FROM pg_catalog.pg_attribute a JOIN t ON a.attrelid = t.oid
    JOIN pg_catalog.pg_type y ON y.oid = a.atttypid),
checks AS (
  SELECT 'TABLE' AS kind, '' AS of, conrelid::pg_catalog.regclass::text AS owner, conname, oid
  FROM pg_catalog.pg_constraint
  WHERE contype = 'c' AND conislocal AND coninhcount = 0 AND conrelid IN (SELECT oid FROM family)
  UNION ALL SELECT 'DOMAIN', 'DOMAIN ', contypid::pg_catalog.regtype::text, conname, oid
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
      pg_catalog.obj_description(oid, 'pg_constraint')) || E'\n' END)), '[]')
FROM checks
