with recursive
reads (mv, rel) as (
    select r.ev_class, d.refobjid
    from pg_class m join pg_rewrite r on r.ev_class = m.oid
      join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid and d.refclassid = 'pg_class'::regclass
    where m.relkind = 'm'
  union
    select mv, d.refobjid
    from reads join pg_class v on v.oid = rel and v.relkind = 'v' join pg_rewrite r on r.ev_class = v.oid
      join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid and d.refclassid = 'pg_class'::regclass
),
granted (what, acl) as (
    select format('%s %s', case relkind when 'S' then 'sequence' when 'v' then 'view' else 'table' end, oid::regclass), relacl
      from pg_class where relacl is not null
  union all
    select format('column %s.%I', attrelid::regclass, attname), attacl from pg_attribute where attacl is not null
  union all
    select format('function %s', oid::regprocedure), proacl from pg_proc where proacl is not null
  union all
    select format('schema %I', nspname), nspacl from pg_namespace where nspacl is not null
  union all
    select format('type %s', oid::regtype), typacl from pg_type where typacl is not null
  union all
    select format('language %I', lanname), lanacl from pg_language where lanacl is not null
  union all
    select format('foreign-data wrapper %I', fdwname), fdwacl from pg_foreign_data_wrapper where fdwacl is not null
  union all
    select format('foreign server %I', srvname), srvacl from pg_foreign_server where srvacl is not null
  union all
    select format('large object %s', oid), lomacl from pg_largeobject_metadata where lomacl is not null
  union all
    select format('default privileges of %I', pg_get_userbyid(defaclrole)), defaclacl from pg_default_acl
  union all
    select format('initial privileges of %s', case classoid when 'pg_class'::regclass then objoid::regclass::text
        when 'pg_proc'::regclass then objoid::regprocedure::text else classoid::regclass || ' ' || objoid end), initprivs
      from pg_init_privs
  union all
    select format('database %I', datname), datacl from pg_database where datname = current_database()
),
found (kind, text) as (
    select distinct 'privileges of dropped roles', format(case when what ~ '^database '
        then '%s: privileges of a role that was dropped (%s), which are not in the dump'
        else '%s: privileges of a role that was dropped (%s): GRANT ... TO "%2$s" fails in a load; pg-snap load --keep-going omits it'
        end, what, grantee)
      from granted, aclexplode(acl) where grantee <> 0 and not exists (select from pg_roles r where r.oid = grantee)
  union all
    select 'invalid indexes', format('index %s is invalid, and is not in the dump; REINDEX INDEX %1$s; or DROP INDEX %1$s;', indexrelid::regclass)
      from pg_index i join pg_class c on c.oid = indexrelid where not indisvalid and c.relkind = 'i'
        and indexrelid not in (select index_relid from pg_stat_progress_create_index where index_relid is not null)
  union all
    select 'constraints that are NOT VALID', format('constraint %I of table %s is NOT VALID, and stays so in a load: rows may violate it; '
        'ALTER TABLE %2$s VALIDATE CONSTRAINT %1$I;', conname, conrelid::regclass)
      from pg_constraint c where not convalidated and conrelid <> 0 and to_jsonb(c) ->> 'conenforced' is distinct from 'false'
  union all
    select 'materialized views over foreign tables', format('materialized view %s reads foreign table %s of server %I: a load reads it '
        'from there, and fails if that server does not answer', mv::regclass, rel::regclass, srvname)
      from reads join pg_foreign_table on ftrelid = rel join pg_foreign_server s on s.oid = ftserver
      join pg_class m on m.oid = mv and m.relispopulated
  union all
    select 'event triggers', format('event trigger %I fires on %s: only a superuser can load it',
        evtname, evtevent)
      from pg_event_trigger t where evtenabled <> 'D' and evtevent <> 'login' and not exists
        (select from pg_depend d where d.classid = 'pg_event_trigger'::regclass and d.objid = t.oid and d.deptype = 'e')
  union all
    select 'foreign servers', format('foreign server %I: %s', srvname, concat_ws('; ',
        case when tables > 0 then format('rows of its foreign tables (%s) are not in the dump', tables) end,
        case when mappings > 0 then format('the options of %s user mapping(s) are in the dump, in plain text', mappings) end))
      from pg_foreign_server s,
        lateral (select count(*) from pg_foreign_table where ftserver = s.oid) as t (tables),
        lateral (select count(*) from pg_user_mappings u where u.srvid = s.oid and u.umoptions is not null) as m (mappings)
      where tables > 0 or mappings > 0
  union all
    select 'unreadable types', format('column %s.%I: no server reads a value of type %s, so rows that have one cannot be loaded; '
        'ALTER TABLE %1$s ALTER COLUMN %2$I TYPE text', c.oid::regclass, attname, atttypid::regtype)
      from pg_attribute join pg_class c on c.oid = attrelid join pg_namespace n on n.oid = relnamespace join pg_type t on t.oid = atttypid
      where relkind = 'r' and attnum > 0 and not attisdropped and nspname !~ '^pg_' and nspname <> 'information_schema'
        and typnamespace = 'pg_catalog'::regnamespace and typname in ('pg_node_tree', 'pg_ndistinct', 'pg_dependencies', 'pg_mcv_list',
          'pg_brin_bloom_summary', 'pg_brin_minmax_multi_summary', 'pg_ddl_command')
  union all
    select 'unlogged tables', format('table %s is unlogged: its rows are %s', oid::regclass, case when pg_is_in_recovery()
        then 'not in the dump, because a standby has none of them' else 'in the dump, but the server empties it after a crash' end)
      from pg_class where relpersistence = 'u' and relkind = 'r'
    union all select 'unlogged tables', format('sequence %s is unlogged: its value is not in the dump, because a standby has none of it',
        oid::regclass) from pg_class s where relpersistence = 'u' and relkind = 'S' and pg_is_in_recovery()
        -- That of an unlogged table has no rows to agree with.
        and not exists (select from pg_depend d join pg_class t on t.oid = refobjid and t.relpersistence = 'u'
          where d.classid = 'pg_class'::regclass and d.objid = s.oid and refclassid = 'pg_class'::regclass and deptype in ('a', 'i'))
  union all
    select 'tables of extensions', format('table %s belongs to extension %I, which does not mark its rows as data: they are not in the dump',
        c.oid::regclass, extname)
      from pg_extension e join pg_depend d on d.refclassid = 'pg_extension'::regclass and d.refobjid = e.oid and d.deptype = 'e'
        and d.classid = 'pg_class'::regclass join pg_class c on c.oid = d.objid
      where e.oid >= 16384 and c.relkind = 'r' and c.oid <> all (coalesce(extconfig, '{}')) and pg_relation_size(c.oid) > 0
),
counted as (select kind, text, row_number() over (partition by kind order by text) as nth, count(*) over (partition by kind) as n from found)
-- Where a byte is a character, what it means is not known.
select json_build_array(kind,
    case getdatabaseencoding() when 'SQL_ASCII' then regexp_replace(text, '[^ -~]', '?', 'g') else text end, n)
  from counted where nth <= 10 order by kind, nth;
