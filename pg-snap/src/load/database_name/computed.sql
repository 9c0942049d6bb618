-- What tables compute by functions that read the name of the database, with the statements that compute it again: stored
-- generated columns, then indexes.
WITH calls AS (
  -- A generated column depends on what it calls by its default from PostgreSQL 15 on, and itself before.
  SELECT objid AS oid, objsubid AS attnum, refobjid AS function FROM pg_catalog.pg_depend
  WHERE classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
  UNION ALL SELECT e.adrelid, e.adnum, d.refobjid
  FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_attrdef e ON e.oid = d.objid
  WHERE d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
    AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass),
naming AS (
  SELECT DISTINCT c.oid, c.relkind, a.attnum, a.attname
  FROM calls JOIN pg_catalog.pg_class c ON c.oid = calls.oid
    JOIN pg_catalog.pg_proc p ON p.oid = calls.function AND p.oid >= 16384
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = calls.attnum AND a.attgenerated = 's'
  WHERE (c.relkind = 'i' OR c.relkind = 'r' AND a.attnum > 0)
    AND CASE WHEN p.prokind <> 'a' THEN pg_catalog.pg_get_functiondef(p.oid) ~* :'name_in_body' END),
columns AS (
  SELECT oid, pg_catalog.string_agg(pg_catalog.format('%I = DEFAULT', attname), ', ' ORDER BY attnum) AS names
  FROM naming WHERE relkind = 'r' GROUP BY oid),
-- An update is no change of the rows for triggers and rules.
actions AS (
  SELECT tgrelid AS oid, 'TRIGGER' AS kind, tgname AS name, tgenabled AS enabled
  FROM pg_catalog.pg_trigger t
  WHERE (NOT tgisinternal OR tgparentid <> 0) AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_constraint k WHERE k.oid = t.tgconstraint AND k.contype <> 't')
  UNION ALL SELECT ev_class, 'RULE', rulename, ev_enabled FROM pg_catalog.pg_rewrite),
switches AS (
  SELECT a.oid,
    pg_catalog.string_agg(pg_catalog.format('ALTER TABLE ONLY %s DISABLE %s %I;', a.oid::pg_catalog.regclass, kind, name)
      || E'\n', '' ORDER BY kind, name) AS off,
    pg_catalog.string_agg(pg_catalog.format('ALTER TABLE ONLY %s ENABLE%s %s %I;', a.oid::pg_catalog.regclass,
      CASE enabled WHEN 'R' THEN ' REPLICA' WHEN 'A' THEN ' ALWAYS' ELSE '' END, kind, name)
      || E'\n', '' ORDER BY kind, name) AS back
  FROM actions a JOIN columns USING (oid) WHERE enabled <> 'D'
  GROUP BY a.oid),
computed AS (
  -- Where a table has a trigger before its update, the server computes all generated columns, and otherwise only those that
  -- read a column that is updated.
  SELECT 1 AS step, 'generated columns of table' AS kind, c.oid, pg_catalog.format(
    E'%1$sCREATE TRIGGER pg_snap_computes BEFORE UPDATE ON %2$s FOR EACH ROW WHEN (false)\n'
    '  EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger();\n'
    'UPDATE ONLY %2$s SET %3$s;\nDROP TRIGGER pg_snap_computes ON %2$s;\n%4$s',
    s.off, c.oid::pg_catalog.regclass, c.names, s.back) AS statement
  FROM columns c LEFT JOIN switches s ON s.oid = c.oid
  UNION ALL
  SELECT 2, 'index', oid, pg_catalog.format(E'REINDEX INDEX %s;\n', oid::pg_catalog.regclass)
  FROM naming WHERE relkind = 'i')
SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
  'kind', x.kind, 'schema', n.nspname, 'name', c.relname, 'statement', x.statement)
  ORDER BY x.step, n.nspname, c.relname), '[]')
FROM computed x JOIN pg_catalog.pg_class c ON c.oid = x.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
