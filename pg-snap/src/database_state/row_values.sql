-- What rows name by types that are kept as numbers and written as names: roles, and what a load may not
-- find when it reads the rows. Of a large table a part is looked at.
-- The few columns of these types first: the planner would compare each column with every type.
with named as materialized (
  select oid as type, typname, held
  from pg_type, lateral (values (oid), (typarray)) as v (held)
  where typnamespace = 'pg_catalog'::regnamespace and typname in ('regrole', 'regclass', 'regproc', 'regprocedure', 'regoper',
    'regoperator', 'regtype', 'regnamespace', 'regconfig', 'regdictionary', 'regcollation')),
col as materialized (
  select attrelid, attnum, attname, atttypid, type, typname
  from pg_attribute join named on atttypid = held
  where attnum > 0 and not attisdropped and attgenerated = '')
select format('select json_build_object(''type'', %L, ''column'', %L, ''value'', %s, ''how'', %s) from (select distinct %s as v '
    'from only %s%s limit 1000) as s join %s as k on k.oid = v::oid where %4$s is not null limit 100', typname,
    format('%s.%I', c.oid::regclass, attname), case typname when 'regrole' then 'rolname' else 'v::text' end,
    case typname
      when 'regrole' then 'case when rolname !~ ''^pg_'' then case when rolcanlogin then ''login'' else ''role'' end end'
      when 'regclass' then 'case when k.oid < 16384 then ''system'' when relkind in (''i'', ''I'') or relnamespace::regnamespace::text ~ ''^pg_'' then ''late'' end'
      when 'regproc' then 'case when (select count(*) from pg_proc o where o.proname = k.proname and o.pronamespace = k.pronamespace) > 1 then ''ambiguous'' '
        'when k.oid < 16384 then ''system'' end'
      when 'regoper' then 'case when (select count(*) from pg_operator o where o.oprname = k.oprname and o.oprnamespace = k.oprnamespace) > 1 then ''ambiguous'' '
        'when k.oid < 16384 then ''system'' end'
      else 'case when k.oid < 16384 then ''system'' end' end,
    format(case when type = atttypid then '%I' else 'unnest(%I)' end, attname), c.oid::regclass,
    case when size > 1000 then format(' tablesample system (%s)', 100000.0 / size) end,
    case typname when 'regrole' then 'pg_roles' when 'regclass' then 'pg_class' when 'regproc' then 'pg_proc' when 'regprocedure' then 'pg_proc'
      when 'regoper' then 'pg_operator' when 'regoperator' then 'pg_operator' when 'regtype' then 'pg_type' when 'regnamespace' then 'pg_namespace'
      when 'regconfig' then 'pg_ts_config' when 'regdictionary' then 'pg_ts_dict' else 'pg_collation' end)
from col
  join pg_class c on c.oid = attrelid and relkind = 'r' join pg_namespace n on n.oid = relnamespace,
  lateral (select pg_relation_size(c.oid) / current_setting('block_size')::int) as x (size)
where nspname !~ '^pg_' and nspname <> 'information_schema'
order by c.oid, attnum limit 100
\gexec
