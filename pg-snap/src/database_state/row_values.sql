-- What rows name by types that are kept as numbers and written as names: roles, and what a load may not
-- find when it reads the rows. Of a large table a part is looked at.
-- The few columns of these types first: the planner would compare each column with every type.
with recursive
reg as materialized (
  select oid, typname, typarray
  from pg_type
  where typnamespace = 'pg_catalog'::regnamespace and typname in ('regrole', 'regclass', 'regproc', 'regprocedure', 'regoper',
    'regoperator', 'regtype', 'regnamespace', 'regconfig', 'regdictionary', 'regcollation', 'aclitem')),
/*planned*/
-- Which types hold which, as arrays, domains and composite types do, and what stands before and behind a value in the
-- expression that takes it apart.
holder (part, whole, opens, closes) as materialized (
    select oid, typarray, 'unnest(', ')' from pg_type where typarray <> 0
  union all
    select typbasetype, oid, '', '' from pg_type where typtype = 'd'
  union all
    select atttypid, reltype, '(', format(').%I', attname) collate "default"
    from pg_attribute join pg_class c on c.oid = attrelid
    where c.oid >= 16384 and reltype <> 0 and attnum > 0 and not attisdropped
      and (atttypid >= 16384 or atttypid in (select oid from reg union all select typarray from reg))),
-- Deeper ones are not looked into.
held (type, typname, before, behind, depth) as (
    select oid, typname, '', '', 0 from reg
  union all
    select whole, typname, before || opens, closes || behind, depth + 1
    from held join holder on part = type
    where depth < 6),
col as materialized (
  select attrelid, attnum, attname, typname, before || quote_ident(attname) || behind as value
  from pg_attribute join held on atttypid = type
  where attnum > 0 and not attisdropped and attgenerated = '')
-- Where the planner evaluates functions of a table's indexes, these find what they name under the database's own path.
-- Values are written under that of the server, which is set before the first one.
select format('select from set_config(''search_path'', %L, true) as p where p is null; '
    'select json_build_object(''type'', %L, ''column'', %L, ''value'', %s, ''how'', %s) from (select distinct %s as v '
    'from only %s%s limit 1000) as s join %s as k on %s where %5$s is not null limit 100',
    case when c.oid in (select relid from planned) then concat_ws(', ', 'pg_catalog', nullif(own, '')) else 'pg_catalog, pg_temp' end,
    typname, format('%s.%I', c.oid::regclass, attname),
    case when names_roles then 'rolname'
      else 'case when (select set_config(''search_path'', ''pg_catalog, pg_temp'', true)) is not null then v::text end' end,
    case
      when names_roles then 'case when rolname !~ ''^pg_'' then case when rolcanlogin then ''login'' else ''role'' end end'
      when typname = 'regclass' then 'case when k.oid < 16384 then ''system'' when relkind in (''i'', ''I'') or relnamespace::regnamespace::text ~ ''^pg_'' then ''late'' end'
      when typname = 'regproc' then 'case when (select count(*) from pg_proc o where o.proname = k.proname and o.pronamespace = k.pronamespace) > 1 then ''ambiguous'' '
        'when k.oid < 16384 then ''system'' end'
      when typname = 'regoper' then 'case when (select count(*) from pg_operator o where o.oprname = k.oprname and o.oprnamespace = k.oprnamespace) > 1 then ''ambiguous'' '
        'when k.oid < 16384 then ''system'' end'
      else 'case when k.oid < 16384 then ''system'' end' end,
    value, c.oid::regclass,
    case when size > 1000 then format(' tablesample system (%s)', 100000.0 / size) end,
    case typname when 'regrole' then 'pg_roles' when 'aclitem' then 'pg_roles' when 'regclass' then 'pg_class' when 'regproc' then 'pg_proc' when 'regprocedure' then 'pg_proc'
      when 'regoper' then 'pg_operator' when 'regoperator' then 'pg_operator' when 'regtype' then 'pg_type' when 'regnamespace' then 'pg_namespace'
      when 'regconfig' then 'pg_ts_config' when 'regdictionary' then 'pg_ts_dict' else 'pg_collation' end,
    case typname when 'aclitem' then 'k.oid in (select unnest(array[grantee, grantor]) from aclexplode(case when v is not null then array[v] end))'
      else 'k.oid = v::oid' end)
from col
  join pg_class c on c.oid = attrelid and relkind = 'r' join pg_namespace n on n.oid = relnamespace,
  (select reset_val from pg_settings where name = 'search_path') as own (own),
  lateral (select typname in ('regrole', 'aclitem')) as y (names_roles),
  lateral (select pg_relation_size(c.oid) / current_setting('block_size')::int) as x (size)
where nspname !~ '^pg_' and nspname <> 'information_schema' and not (relpersistence = 'u' and pg_is_in_recovery())
order by c.oid, attnum limit 100
\gexec
