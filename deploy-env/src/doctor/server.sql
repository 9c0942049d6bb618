SET statement_timeout = '8s';
SELECT pg_catalog.json_build_object(
  'version', pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
  'role', current_user,
  'database', pg_catalog.current_database(),
  'superuser', r.rolsuper,
  'creates_databases', r.rolcreatedb,
  'owner', pg_catalog.pg_get_userbyid(d.datdba),
  'acts_for_owner', pg_catalog.pg_has_role(d.datdba, 'USAGE'),
  'encoding', pg_catalog.pg_encoding_to_char(d.encoding),
  'collation', d.datcollate,
  'tls', (SELECT s.ssl FROM pg_catalog.pg_stat_ssl s WHERE s.pid = pg_catalog.pg_backend_pid()),
  'unreadable', (
    SELECT coalesce(pg_catalog.json_agg(pg_catalog.format('%I.%I', n.nspname, c.relname)
                                        ORDER BY n.nspname, c.relname), '[]')
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't'
      AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%'
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                      WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                        AND e.objid = c.oid AND e.deptype = 'e')
      AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE')
               AND pg_catalog.has_table_privilege(c.oid, 'SELECT'))),
  'schemas', (
    SELECT coalesce(pg_catalog.json_agg(pg_catalog.quote_ident(n.nspname) ORDER BY n.nspname), '[]')
    FROM pg_catalog.pg_namespace n
    WHERE n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%'),
  'row_security', (
    SELECT coalesce(pg_catalog.json_agg(pg_catalog.format('%I.%I', n.nspname, c.relname)
                                        ORDER BY n.nspname, c.relname), '[]')
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity
      AND pg_catalog.row_security_active(c.oid)))
FROM pg_catalog.pg_roles r, pg_catalog.pg_database d
WHERE r.rolname = current_user AND d.datname = pg_catalog.current_database();
