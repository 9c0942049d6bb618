-- What pg_dump leaves out without a word. 16384 is the first oid that an initialised server gives out.
with
member as materialized (
    select classid, objid, refobjid as extension, xmin as made from pg_depend
    where refclassid = 'pg_extension'::regclass and deptype = 'e'
),
of_server as materialized (
    select oid from pg_namespace where nspname in ('pg_catalog', 'information_schema')
),
added (classid, oid) as (
    select 'pg_proc'::regclass, oid from pg_proc where oid >= 16384 and pronamespace in (select oid from of_server)
  union all
    select 'pg_class'::regclass, oid from pg_class
    where oid >= 16384 and relnamespace in (select oid from of_server) and relkind in ('r', 'p', 'v', 'm', 'S', 'f')
  union all
    select 'pg_type'::regclass, t.oid from pg_type t left join pg_class c on c.oid = typrelid
    where t.oid >= 16384 and typnamespace in (select oid from of_server) and (typrelid = 0 or relkind = 'c')
      and not exists (select from pg_type e where e.typarray = t.oid)
  union all
    select 'pg_operator'::regclass, oid from pg_operator where oid >= 16384 and oprnamespace in (select oid from of_server)
  union all
    select 'pg_opclass'::regclass, oid from pg_opclass where oid >= 16384 and opcnamespace in (select oid from of_server)
  union all
    -- Those of an operator class come with it.
    select 'pg_amop'::regclass, a.oid from pg_amop a
    where a.oid >= 16384 and amopfamily < 16384
      and ('pg_operator'::regclass, amopopr) not in (select classid, objid from member) and not exists
        (select from pg_depend d where d.classid = 'pg_amop'::regclass and d.objid = a.oid and d.refclassid = 'pg_opclass'::regclass)
),
-- Tables that an extension has made when it was created, in a transaction that has made no ordinary table: in a database that
-- pg_upgrade has made, what an extension has made cannot be told from what was added to it.
extended (relid, extension) as (
    select m.objid, extension from member m join pg_depend d on d.classid = 'pg_extension'::regclass and d.objid = extension
      and d.refclassid = 'pg_namespace'::regclass and d.deptype = 'n' and d.xmin = made
    where m.classid = 'pg_class'::regclass and extension >= 16384
      and not exists (select from pg_class u where u.oid >= 16384 and u.relkind in ('r', 'p') and u.xmin = made
        and ('pg_class'::regclass, u.oid) not in (select classid, objid from member))
),
found (kind, text) as (
    select 'objects in the server''s schemas', format('%s %s was added to what is the server''s own: it is not in the dump, and what '
        'uses it cannot be loaded; keep it in a schema of the application', i.type, i.identity)
      from added a, pg_identify_object(a.classid, a.oid, 0) i
      where (a.classid, a.oid) not in (select classid, objid from member)
  union all
    select distinct 'changes to tables of extensions', format('%s %s may have been added to a table of extension %I: if so, it is not in the dump, '
        'and a load does not create it; keep the statement that does', i.type, i.identity, extname)
      from extended join pg_extension e on e.oid = extension
        join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = relid and d.deptype in ('a', 'i')
        left join pg_trigger t on d.classid = 'pg_trigger'::regclass and t.oid = d.objid,
        pg_identify_object(d.classid, d.objid, 0) i
      where (d.classid in ('pg_constraint'::regclass, 'pg_policy'::regclass, 'pg_statistic_ext'::regclass) or not tgisinternal)
        and d.xmin <> e.xmin and not exists (select from member m where m.extension = e.oid and m.made = d.xmin)
  union all
    select 'subscriptions', format('subscription %I is not in the dump: role %I may not read its connection', subname, current_user)
      from pg_subscription where subdbid = (select oid from pg_database where datname = current_database())
        and not has_column_privilege('pg_subscription', 'subconninfo', 'SELECT')
  union all
    -- As the view pg_user_mappings decides it.
    select 'user mappings', format('user mapping for %s of foreign server %I: its options, if it has any, are not in the dump, because role %I may not see them',
        case umuser when 0 then 'PUBLIC' else quote_ident(usename) end, s.srvname, current_user)
      from pg_user_mappings u join pg_foreign_server s on s.oid = srvid
      where umoptions is null and not (select rolsuper from pg_roles where rolname = current_user)
        and not case when umuser = 0 then pg_has_role(srvowner, 'USAGE')
          else usename = current_user and (pg_has_role(srvowner, 'USAGE') or has_server_privilege(srvid, 'USAGE')) end
),
counted as (select kind, text, row_number() over (partition by kind order by text) as nth, count(*) over (partition by kind) as n from found)
-- Where a byte is a character, what it means is not known.
select json_build_array(kind,
    case getdatabaseencoding() when 'SQL_ASCII' then regexp_replace(text, '[^ -~]', '?', 'g') else text end, n)
  from counted where nth <= 10 order by kind, nth;
