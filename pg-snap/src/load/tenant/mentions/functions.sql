-- The functions of a schema whose text or own settings contain a name in any case.
SET search_path = '';
WITH f AS (
  SELECT p.oid::pg_catalog.regprocedure::text AS identity,
    coalesce(p.prosrc, '') || ' ' || coalesce(p.proconfig::text, '') AS text
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace AND n.nspname = :'schema')
SELECT coalesce(pg_catalog.json_agg(f ORDER BY identity), '[]') FROM f
WHERE pg_catalog.strpos(pg_catalog.lower(text), pg_catalog.lower(:'name')) > 0
