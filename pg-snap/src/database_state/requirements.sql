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
)
select json_build_object(
  'extension_versions', (select coalesce(json_object_agg(extname, extversion order by extname), '{}') from pg_extension where oid >= 16384),
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
    where ('pg_event_trigger'::regclass, t.oid) not in (select classid, objid from member)));
