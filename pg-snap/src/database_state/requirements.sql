with member as (select classid, objid from pg_depend where deptype = 'e'),
dictionary as (
    select distinct on (template, options) d.dictname, d.dictnamespace, template, options
    from pg_ts_dict d join pg_ts_template t on t.oid = d.dicttemplate,
      lateral (select t.tmplname::text, (select json_agg(json_build_array(m[1], replace(m[2], '''''', '''')))::text
        from regexp_matches(dictinitoption, '([a-z_]+)"?\s*=\s*E?''((?:[^'']|'''')*)''', 'gi') as m)) as x (template, options)
    where d.oid >= 16384 and t.tmplnamespace = 'pg_catalog'::regnamespace and options is not null
      and ('pg_ts_dict'::regclass, d.oid) not in (select classid, objid from member)
    order by template, options, d.oid limit 50
),
loc as (
    select distinct on (provider, locale, ctype, rules) c.oid, provider, locale, ctype, rules
    from pg_collation c, to_jsonb(c) as j, lateral (select j ->> 'collprovider',
      coalesce(j ->> 'colllocale', j ->> 'colliculocale', j ->> 'collcollate'), j ->> 'collctype', j ->> 'collicurules')
      as x (provider, locale, ctype, rules)
    where c.oid >= 16384 and ('pg_collation'::regclass, c.oid) not in (select classid, objid from member)
    order by provider, locale, ctype, rules, c.oid limit 50
),
named as (
    select 'pg_opclass'::regclass as classid, oid, opcname as name, opcnamespace as namespace from pg_opclass
    union all select 'pg_opfamily'::regclass, oid, opfname, opfnamespace from pg_opfamily
    union all select 'pg_ts_parser'::regclass, oid, prsname, prsnamespace from pg_ts_parser
    union all select 'pg_ts_template'::regclass, oid, tmplname, tmplnamespace from pg_ts_template
),
-- What only a superuser may create. A function that belongs to a type comes with it.
guarded (kind, classid, oid, name) as (
    select case when puballtables then 'publication_of_all_tables' else 'publication_of_schema' end,
      'pg_publication'::regclass, oid, quote_ident(pubname)
    from pg_publication where puballtables or oid in (select refobjid from pg_depend
      where refclassid = 'pg_publication'::regclass and classid = to_regclass('pg_catalog.pg_publication_namespace'))
    -- pg_dump writes them for a superuser only.
    -- Before PostgreSQL 14 only a superuser may read the oid.
    union all select 'subscription', 'pg_subscription'::regclass, 16384::oid, quote_ident(subname)
    from pg_subscription s join pg_database d on d.oid = subdbid
    where datname = current_database() and (select rolsuper from pg_roles where rolname = current_user)
    union all select case classid when 'pg_opclass'::regclass then 'operator_class' when 'pg_opfamily'::regclass then 'operator_family'
      when 'pg_ts_parser'::regclass then 'text_search_parser' else 'text_search_template' end,
      classid, m.oid, format('%I.%I', nspname, name)
    from named m join pg_namespace n on n.oid = namespace where nspname !~ '^pg_'
    union all select case castmethod when 'b' then 'cast_without_function' else 'cast_of_server_types' end,
      'pg_cast'::regclass, oid, format('%s AS %s', castsource::regtype, casttarget::regtype)
    from pg_cast where castmethod = 'b' or castsource < 16384 and casttarget < 16384
    union all select k, 'pg_proc'::regclass, p.oid, p.oid::regprocedure::text
    from pg_proc p join pg_language l on l.oid = prolang left join pg_aggregate a on aggfnoid = p.oid, lateral (values
      ('internal_function', lanname = 'internal' and prokind <> 'a'), ('leakproof_function', proleakproof), ('function_with_support', prosupport <> 0),
      ('internal_aggregate', 'internal'::regtype in (aggtranstype, aggmtranstype))) as v (k, is_so)
    where is_so and p.oid >= 16384 and pronamespace::regnamespace::text !~ '^pg_'
      and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and deptype = 'i')
    union all select 'base_type', 'pg_type'::regclass, oid, oid::regtype::text
    from pg_type t where typtype in ('b', 'p') and typnamespace::regnamespace::text !~ '^pg_'
      and not exists (select from pg_type e where e.typarray = t.oid)
    union all select 'access_method', 'pg_am'::regclass, oid, quote_ident(amname) from pg_am
    union all select 'language', 'pg_language'::regclass, oid, quote_ident(lanname) from pg_language
)
select json_build_object(
  'extension_versions', (select coalesce(json_object_agg(extname, extversion order by extname), '{}') from pg_extension where oid >= 16384),
  'absent', (select coalesce(json_agg('schema public'::text), '[]') where not exists (select from pg_namespace where nspname = 'public')),
  'public_schema', :public_schema,
  'preloaded', (select coalesce(json_agg(extname order by extname), '[]') from pg_extension, pg_settings
    where name = 'shared_preload_libraries' and extname = any (regexp_split_to_array(replace(setting, '"', ''), '\s*,\s*'))),
  'tablespaces', (select coalesce(json_agg(spcname order by spcname), '[]') from pg_tablespace t
    where exists (select from pg_class where reltablespace = t.oid and oid >= 16384) and spcname <> 'pg_global'),
  'dictionaries', (select coalesce(json_agg(json_build_object('name', format('%I.%I', nspname, dictname),
      'template', template, 'options', options::json)), '[]')
    from dictionary join pg_namespace n on n.oid = dictnamespace),
  'collations', (select coalesce(json_agg(json_build_object('name', oid::regcollation, 'provider', provider,
      'locale', locale, 'ctype', ctype, 'rules', rules)), '[]') from loc),
  'libraries', (select coalesce(json_agg(probin order by probin), '[]') from (select distinct probin
    from pg_proc p join pg_language l on l.oid = prolang where p.oid >= 16384 and lanname = 'c' and probin is not null
      and ('pg_proc'::regclass, p.oid) not in (select classid, objid from member) limit 50) as x),
  'foreign_data_wrappers', (select coalesce(json_agg(fdwname order by fdwname), '[]') from pg_foreign_data_wrapper w
    where ('pg_foreign_data_wrapper'::regclass, w.oid) not in (select classid, objid from member)),
  'event_triggers', (select coalesce(json_agg(evtname order by evtname), '[]') from pg_event_trigger t
    where ('pg_event_trigger'::regclass, t.oid) not in (select classid, objid from member)),
  'superuser_objects', (select coalesce(json_agg(json_build_object('kind', kind, 'name', name) order by kind), '[]')
    from (select kind, min(name) as name from guarded g
      where oid >= 16384 and (g.classid::oid, g.oid) not in (select classid, objid from member) group by kind) as x));
