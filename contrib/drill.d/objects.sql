-- The key of every object that a row names, a line each, for the step `objects` of a drill: each key must be in the
-- mirror. A second column may give the content type. Here: the documents of every tenant that has a schema.
SELECT pg_catalog.format('SELECT key FROM %I.documents', n.nspname)
  FROM pg_catalog.pg_namespace AS n
  JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = 'documents'
  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'key'
  WHERE n.nspname LIKE 'tenant\_%'
  ORDER BY n.nspname
\gexec
