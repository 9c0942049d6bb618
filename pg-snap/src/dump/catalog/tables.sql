with recursive
-- Tables of extensions whose rows are the user's. 16384 is the first oid that an initialised server gives out.
config as (
  select u.relid, nullif(u.condition, '') as filter
  from pg_catalog.pg_extension e, unnest(e.extconfig, e.extcondition) as u (relid, condition)
  where e.oid >= 16384),
fk as (
  select conrelid, confrelid from pg_catalog.pg_constraint
  where contype = 'f' and conrelid <> confrelid
    and conrelid in (select relid from config) and confrelid in (select relid from config)),
-- The limit ends a circle of tables that refer to each other.
depth as (
  select relid, 0 as depth from config
  union
  select conrelid, depth + 1 from depth join fk on confrelid = relid where depth < 100),
chosen as (
  select c.oid as relid, null::text as filter
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relkind = 'r' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and not exists (
    select from pg_catalog.pg_depend d
    where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid and d.deptype = 'e')
  union all
  select * from config),
-- Tables that are hash-partitioned by more than plain values of the server's own types: the hash of an enum or
-- of a name's oid follows oids, which differ from server to server, also inside of arrays, rows and ranges; that of a
-- collation that is not deterministic follows the version of ICU, and nothing is known of an operator class of the
-- database's own. Their rows are loaded through the root.
unsafe as (
  select partrelid from pg_catalog.pg_partitioned_table p where p.partstrat = 'h' and (
    exists (
      select from pg_catalog.pg_opclass o join pg_catalog.pg_type t on t.oid = o.opcintype
      where o.oid = any (p.partclass) and (o.oid >= 16384 or t.typtype <> 'b'
        or t.oid in ('pg_catalog.oid'::pg_catalog.regtype, 'pg_catalog.aclitem'::pg_catalog.regtype)))
    or exists (
      select from pg_catalog.pg_collation c where c.oid = any (p.partcollation) and not c.collisdeterministic))),
-- Functions of the database's own: in no schema of the server's, and no member of an extension.
own_proc as (
  select p.oid from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and not exists (
    select from pg_catalog.pg_depend d
    where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = p.oid and d.deptype = 'e')),
caller as (
  select classid, objid from pg_catalog.pg_depend
  where refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass and refobjid in (select oid from own_proc)
    or refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass and refobjid in (
      select oid from pg_catalog.pg_operator where oprcode in (select oid from own_proc))),
of_type as (
  select refobjid as part, objid as whole from pg_catalog.pg_depend
  where classid = 'pg_catalog.pg_type'::pg_catalog.regclass
    and refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
  union all
  select a.atttypid, c.reltype
  from pg_catalog.pg_class c join pg_catalog.pg_attribute a on a.attrelid = c.oid
  where c.reltype <> 0 and a.attnum > 0),
calling_type as (
  select contypid as oid from pg_catalog.pg_constraint
  where contypid <> 0
    and ('pg_catalog.pg_constraint'::pg_catalog.regclass, oid) in (select classid, objid from caller)
  union
  select whole from calling_type join of_type on part = calling_type.oid),
-- Tables of which a check, a stored generated column, a domain or a partition's bound calls such a function.
calls as (
  select conrelid as relid from pg_catalog.pg_constraint
  where contype = 'c'
    and ('pg_catalog.pg_constraint'::pg_catalog.regclass, oid) in (select classid, objid from caller)
  union
  select d.adrelid
  from pg_catalog.pg_attrdef d
    join pg_catalog.pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
  where a.attgenerated = 's'
    and ('pg_catalog.pg_attrdef'::pg_catalog.regclass, d.oid) in (select classid, objid from caller)
  union
  -- Before PostgreSQL 15, a generated column itself depends on the function, not its expression.
  select attrelid from pg_catalog.pg_attribute
  where attgenerated = 's'
    and ('pg_catalog.pg_class'::pg_catalog.regclass, attrelid) in (select classid, objid from caller)
  union
  select attrelid from pg_catalog.pg_attribute
  where attnum > 0 and not attisdropped and atttypid in (select oid from calling_type)
  union
  select c.oid from pg_catalog.pg_class c, pg_catalog.pg_partition_ancestors(c.oid) p (relid)
  where c.relispartition
    and ('pg_catalog.pg_class'::pg_catalog.regclass, p.relid) in (select classid, objid from caller)),
/*planned*/
rel as (
  select c.*, chosen.filter, n.nspname,
    pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) as quoted,
    pg_catalog.pg_get_userbyid(c.relowner) as owner
  from chosen
    join pg_catalog.pg_class c on c.oid = chosen.relid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace)
select pg_catalog.json_build_object('table', pg_catalog.json_build_object(
  'oid', oid::int8, 'schema', nspname, 'name', relname, 'owner', owner, 'quoted', quoted,
  'columns', coalesce((
    select '(' || string_agg(pg_catalog.quote_ident(attname), ', ' order by attnum) || ')'
    from pg_catalog.pg_attribute a
    where a.attrelid = rel.oid and attnum > 0 and not attisdropped and attgenerated = ''), ''),
  'filenode', relfilenode::int8,
  'attributes', relnatts,
  'attribute_names', (
    -- Also those of dropped columns, which a column of the same name does not replace.
    select pg_catalog.hashtextextended(coalesce(array_agg(attname::text order by attnum)::text, ''), 0)
    from pg_catalog.pg_attribute where attrelid = rel.oid and attnum > 0),
  'ranges', relam = 2 and pg_catalog.current_setting('server_version_num')::int >= 140000
    and oid not in (select relid from planned),
  'pages', coalesce(pg_catalog.pg_relation_size(oid), 0) / pg_catalog.current_setting('block_size')::int,
  'bytes', coalesce(pg_catalog.pg_table_size(oid), 0),
  'filter', filter,
  'rank', (select max(depth) from depth where relid = rel.oid),
  'root', case when relispartition and exists (
      select from unsafe, pg_catalog.pg_partition_ancestors(rel.oid) p (relid) where p.relid = partrelid)
    then (
      select pg_catalog.quote_ident(rn.nspname) || '.' || pg_catalog.quote_ident(r.relname)
      from pg_catalog.pg_class r join pg_catalog.pg_namespace rn on rn.oid = r.relnamespace
      where r.oid = pg_catalog.pg_partition_root(rel.oid)) end,
  'calls', oid in (select relid from calls)))
-- A standby has no rows of unlogged tables.
from rel where relkind = 'r' and not (relpersistence = 'u' and pg_catalog.pg_is_in_recovery())
union all
select pg_catalog.json_build_object('large_objects', exists (select from pg_catalog.pg_largeobject_metadata))
union all
select pg_catalog.json_build_object('locks',
  pg_catalog.current_setting('max_locks_per_transaction')::int8
  * (pg_catalog.current_setting('max_connections')::int8
    + pg_catalog.current_setting('max_prepared_transactions')::int8));
