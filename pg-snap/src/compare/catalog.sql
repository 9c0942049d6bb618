with own as (
  select oid, nspname from pg_catalog.pg_namespace
  where nspname !~ '^pg_' and nspname <> 'information_schema'),
member as (
  select classid, objid from pg_catalog.pg_depend where deptype = 'e'),
config as (
  select u.relid, pg_catalog.max(nullif(u.condition, '')) as filter
  from pg_catalog.pg_extension e, unnest(e.extconfig, e.extcondition) as u (relid, condition)
  group by u.relid)
select pg_catalog.json_build_object('schema', pg_catalog.json_build_object(
  'name', nspname,
  'member', ('pg_catalog.pg_namespace'::pg_catalog.regclass, oid) in (select classid, objid from member)))
from own
union all
select pg_catalog.json_build_object('relation', pg_catalog.json_build_object(
  'schema', n.nspname, 'name', c.relname, 'kind', c.relkind,
  'quoted', pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),
  'filenode', c.relfilenode::pg_catalog.int8, 'pages', c.relpages, 'filled', c.relispopulated,
  'member', ('pg_catalog.pg_class'::pg_catalog.regclass, c.oid) in (select classid, objid from member),
  'filter', config.filter,
  'root', case when c.relispartition then (
    select pg_catalog.json_build_array(rn.nspname, r.relname)
    from pg_catalog.pg_class r join pg_catalog.pg_namespace rn on rn.oid = r.relnamespace
    where r.oid = pg_catalog.pg_partition_root(c.oid)) end,
  'increment', (select s.seqincrement from pg_catalog.pg_sequence s where s.seqrelid = c.oid)))
from pg_catalog.pg_class c join own n on n.oid = c.relnamespace left join config on config.relid = c.oid
where c.relkind in ('r', 'p', 'f', 'v', 'm', 'S')
union all
select pg_catalog.json_build_object('constraint', pg_catalog.json_build_object(
  'schema', n.nspname, 'of', coalesce(c.relname, t.typname), 'name', k.conname,
  'valid', k.convalidated, 'local', k.conislocal and k.conparentid = 0,
  'enforced', coalesce((pg_catalog.to_jsonb(k) ->> 'conenforced')::pg_catalog.bool, true)))
from pg_catalog.pg_constraint k
  left join pg_catalog.pg_class c on c.oid = k.conrelid
  left join pg_catalog.pg_type t on t.oid = k.contypid
  join own n on n.oid = coalesce(c.relnamespace, t.typnamespace)
where k.contype <> 't'
union all
select pg_catalog.json_build_object('index', pg_catalog.json_build_object(
  'schema', n.nspname, 'name', i.relname, 'table', c.relname,
  'valid', x.indisvalid, 'ready', x.indisready and x.indislive))
from pg_catalog.pg_index x
  join pg_catalog.pg_class i on i.oid = x.indexrelid
  join pg_catalog.pg_class c on c.oid = x.indrelid
  join own n on n.oid = i.relnamespace
union all
select pg_catalog.json_build_object('large_objects', pg_catalog.count(*))
from pg_catalog.pg_largeobject_metadata;
