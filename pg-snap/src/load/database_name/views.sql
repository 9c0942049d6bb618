-- The filled materialized views that read the name of the database, themselves or by views, functions or generated columns,
-- each after those that it reads.
WITH RECURSIVE reads (view, oid) AS (
  SELECT c.oid, c.oid FROM pg_catalog.pg_class c
  WHERE c.relkind = 'm' AND c.relispopulated AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d
    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
  UNION SELECT r.view, d.refobjid
  FROM reads r JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.oid
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
      AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass),
naming AS (
  SELECT c.oid FROM pg_catalog.pg_class c
  WHERE c.oid IN (SELECT oid FROM reads) AND c.relkind IN ('v', 'm') AND (
    pg_catalog.pg_get_viewdef(c.oid) ~* :'name'
    OR EXISTS (
      SELECT FROM pg_catalog.pg_rewrite w
        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
          AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
        JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid
      WHERE w.ev_class = c.oid
        AND CASE WHEN p.prokind <> 'a' THEN pg_catalog.pg_get_functiondef(p.oid) ~* :'name_in_body' END))
  UNION SELECT r.oid FROM reads r
  WHERE r.oid IN (
    SELECT a.attrelid
    FROM pg_catalog.pg_attribute a
      LEFT JOIN pg_catalog.pg_attrdef e ON e.adrelid = a.attrelid AND e.adnum = a.attnum
      JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND (
        d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = a.attrelid AND d.objsubid = a.attnum
        OR d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = e.oid)
      JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid
    WHERE a.attgenerated <> ''
      AND CASE WHEN p.prokind <> 'a' THEN pg_catalog.pg_get_functiondef(p.oid) ~* :'name_in_body' END))
SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(n.nspname, c.relname)
  ORDER BY (SELECT pg_catalog.count(*) FROM reads r WHERE r.view = c.oid), n.nspname, c.relname), '[]')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid IN (SELECT view FROM reads WHERE oid IN (SELECT oid FROM naming))
