SELECT pg_catalog.json_build_object('index', pg_catalog.json_build_object(
    'name', pg_catalog.format('%I.%I', n.nspname, i.relname), 'table', pg_catalog.format('%I.%I', n.nspname, t.relname)))
  FROM pg_catalog.pg_index x
  JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
  JOIN pg_catalog.pg_class t ON t.oid = x.indrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = i.relnamespace
  WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT (x.indisvalid AND x.indisready AND x.indislive)
  ORDER BY 1::text;
SELECT pg_catalog.json_build_object('not_valid', pg_catalog.format('%s of %I.%I', k.conname, n.nspname,
    COALESCE(c.relname, t.typname)))
  FROM pg_catalog.pg_constraint k
  LEFT JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
  LEFT JOIN pg_catalog.pg_type t ON t.oid = k.contypid
  JOIN pg_catalog.pg_namespace n ON n.oid = k.connamespace
  WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT k.convalidated
  ORDER BY 1::text;
SELECT pg_catalog.json_build_object('counted', (
  SELECT pg_catalog.count(*) FROM pg_catalog.pg_index x
  JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = i.relnamespace
  WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'));
SELECT pg_catalog.format(
    'SELECT pg_catalog.json_build_object(''sequence'', pg_catalog.json_build_object(''name'', %L, ''column'', %L, '
    '''next'', next, ''last'', last)) FROM (SELECT %s(%I)::pg_catalog.numeric AS last FROM %I.%I) AS t, '
    '(SELECT CASE WHEN is_called THEN last_value + (%s) ELSE last_value END::pg_catalog.numeric AS next '
    'FROM %I.%I) AS s WHERE last %s next',
    pg_catalog.format('%I.%I', n.nspname, c.relname), pg_catalog.format('%I.%I.%I', tn.nspname, t.relname, a.attname),
    CASE WHEN s.seqincrement > 0 THEN 'pg_catalog.max' ELSE 'pg_catalog.min' END, a.attname, tn.nspname, t.relname,
    s.seqincrement, n.nspname, c.relname,
    CASE WHEN s.seqincrement > 0 THEN '>=' ELSE '<=' END)
  FROM pg_catalog.pg_sequence s
  JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
    AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
  JOIN pg_catalog.pg_class t ON t.oid = d.refobjid
  JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
  WHERE NOT s.seqcycle AND n.nspname !~ '^pg_' AND t.relkind IN ('r', 'p')
    AND a.atttypid IN ('pg_catalog.int2'::pg_catalog.regtype, 'pg_catalog.int4'::pg_catalog.regtype,
      'pg_catalog.int8'::pg_catalog.regtype, 'pg_catalog.numeric'::pg_catalog.regtype)
  ORDER BY 1
\gexec
