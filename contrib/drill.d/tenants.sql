-- A finding for each tenant without a schema, and for each tenant's schema without a person: what one table promises,
-- others must keep.
SELECT 'the tenant ' || slug || ' has no schema'
  FROM public.tenants WHERE pg_catalog.to_regnamespace(pg_catalog.quote_ident(slug)) IS NULL;
SELECT pg_catalog.format('SELECT %L WHERE NOT EXISTS (SELECT FROM %I.people)', slug || ' has no people', slug)
  FROM public.tenants WHERE pg_catalog.to_regclass(pg_catalog.format('%I.people', slug)) IS NOT NULL
  ORDER BY slug
\gexec
