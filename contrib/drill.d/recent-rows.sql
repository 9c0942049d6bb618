-- A finding if no row is newer than 48 hours before the bundle was made: then the bundle is of an old state, whatever
-- the date in its name. Columns that are called as below count. In a large database, name the few tables that matter instead:
-- max() reads a whole table that has no index on the column.
SELECT COALESCE(pg_catalog.string_agg(pg_catalog.format(
    'SELECT pg_catalog.max(%I)::timestamptz AS newest FROM %I.%I', a.attname, n.nspname, c.relname), ' UNION ALL '),
    'SELECT NULL::timestamptz AS newest') AS every_newest
  FROM pg_catalog.pg_attribute AS a
  JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE a.attname IN ('created_at', 'updated_at', 'changed_at', 'applied_at', 'happened_at')
    AND a.atttypid = 'pg_catalog.timestamptz'::pg_catalog.regtype
\gset
SELECT 'the newest row is of ' || COALESCE(pg_catalog.max(newest)::text, 'no time') || ', the bundle of ' || :'bundle_time'
  FROM (:every_newest) AS every_table
  HAVING COALESCE(pg_catalog.max(newest), '-infinity') < :'bundle_time'::timestamptz - interval '48 hours';
