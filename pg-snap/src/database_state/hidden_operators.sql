-- Operators that the text of a definition has no place to name the schema of, where PostgreSQL has one of the same name
-- for a type that theirs is converted to by itself, or for all types of their kind: under an empty search_path, that
-- one is taken. Of a comparison of rows, the text names the operator of the first column alone.
with op as (
    select o.oid, n.nspname from pg_operator o join pg_namespace n on n.oid = o.oprnamespace
    where o.oid >= 16384 and n.nspname <> 'pg_catalog'
      and exists (select from pg_operator b where b.oprname = o.oprname and b.oprnamespace = 'pg_catalog'::regnamespace)
      and (exists (select from pg_cast c where c.castsource in (o.oprleft, o.oprright) and c.castcontext = 'i')
        or exists (select from pg_type t where t.oid in (o.oprleft, o.oprright) and (typtype in ('c', 'd', 'e', 'm', 'r') or typcategory = 'A')))
),
dep as (
    select distinct d.classid, d.objid, op.nspname from pg_depend d join op on op.oid = d.refobjid
    where d.refclassid = 'pg_operator'::regclass
),
user_of (nspname, what, definition) as (
    select nspname, format('%s %s', case relkind when 'm' then 'materialized view' when 'v' then 'view' else 'rule of' end, c.oid::regclass),
        pg_get_ruledef(r.oid)
    from dep join pg_rewrite r on r.oid = objid join pg_class c on c.oid = ev_class where classid = 'pg_rewrite'::regclass
  union all
    select nspname, case conrelid when 0 then format('domain %s', contypid::regtype)
      else format('check %I of table %s', conname, conrelid::regclass) end, pg_get_constraintdef(c.oid)
    from dep join pg_constraint c on c.oid = objid where classid = 'pg_constraint'::regclass and contype = 'c'
  union all
    select nspname, format('column %s.%I', adrelid::regclass, attname), pg_get_expr(adbin, adrelid)
    from dep join pg_attrdef d on d.oid = objid join pg_attribute on attrelid = adrelid and attnum = adnum
    where classid = 'pg_attrdef'::regclass
  union all
    select nspname, format('trigger %I of table %s', tgname, tgrelid::regclass), pg_get_triggerdef(t.oid)
    from dep join pg_trigger t on t.oid = objid where classid = 'pg_trigger'::regclass
  union all
    select nspname, format('policy %I of table %s', polname, polrelid::regclass),
      concat(pg_get_expr(polqual, polrelid), ' ', pg_get_expr(polwithcheck, polrelid))
    from dep join pg_policy p on p.oid = objid where classid = 'pg_policy'::regclass
  union all
    select nspname, format('index %s', c.oid::regclass), pg_get_indexdef(c.oid)
    from dep join pg_class c on c.oid = objid where classid = 'pg_class'::regclass and relkind in ('i', 'I')
  union all
    select nspname, format('function %s', p.oid::regprocedure), pg_get_functiondef(p.oid)
    from dep join pg_proc p on p.oid = objid where classid = 'pg_proc'::regclass and prokind in ('f', 'p')
),
hidden as (
    select distinct nspname, what from user_of
    where definition ~* concat_ws('|', '\mnullif\s*\(', '\mcase\s+(?!when\M)', '\mdistinct\s+from\M', '\musing\s*\(',
      '\mrow\s*\(', '\)\s*(in|[-+*/<>=~!@#%^&|`?]*\s*(any|all)?)\s*\(\s*select\M')
)
select json_build_object('hidden_operators', json_build_object(
    'schemas', (select coalesce(json_agg(distinct nspname), '[]') from hidden),
    'users', (select coalesce(json_agg(what), '[]') from (select distinct what from hidden order by what limit 10) as x),
    'count', (select count(distinct what) from hidden)));
