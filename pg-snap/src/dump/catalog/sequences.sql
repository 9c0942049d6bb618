with config as (
  select relid from pg_catalog.pg_extension e, unnest(e.extconfig) as u (relid) where e.oid >= 16384),
rel as (
  select c.relname, n.nspname,
    pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) as quoted,
    pg_catalog.pg_get_userbyid(c.relowner) as owner
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  -- A standby has no values of unlogged ones.
  where c.relkind = 'S' and not (c.relpersistence = 'u' and pg_catalog.pg_is_in_recovery()) and (
    c.oid in (select relid from config)
    or n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and not exists (
      select from pg_catalog.pg_depend d
      where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid and d.deptype = 'e')))
select pg_catalog.json_build_object('sequence', pg_catalog.json_build_object(
  'schema', nspname, 'name', relname, 'owner', owner, 'quoted', quoted,
  'plain', relname !~ '[^a-z0-9_]' and relname not in (
    select relname from pg_catalog.pg_class where relkind = 'm')))
from rel;
