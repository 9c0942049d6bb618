p.oid IN (
  WITH RECURSIVE r (oid) AS (
    SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
    WHERE s.nspname = :'schema' AND c.relname = :'view'
    UNION SELECT d.refobjid FROM r JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.oid
      JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
        AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass),
  u AS (
    SELECT d.refclassid, d.refobjid FROM r JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.oid
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid)
  SELECT refobjid FROM u WHERE refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
  UNION SELECT o.oprcode FROM u JOIN pg_catalog.pg_operator o ON o.oid = u.refobjid
  WHERE refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass)
