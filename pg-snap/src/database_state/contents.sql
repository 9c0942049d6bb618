-- Objects that the first superuser owns, of which the server keeps no record. Those below 16384, the first oid
-- that an initialised server gives out, are the server's own.
with o (classid, objid) as (
  select 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid, oid from pg_catalog.pg_class where relowner = 10 and oid >= 16384 and relkind not in ('i', 'I')
  union all
  select 'pg_catalog.pg_collation'::pg_catalog.regclass::pg_catalog.oid, oid from pg_catalog.pg_collation where collowner = 10 and oid >= 16384
  union all
  select 'pg_catalog.pg_conversion'::pg_catalog.regclass::pg_catalog.oid, oid from pg_catalog.pg_conversion where conowner = 10 and oid >= 16384
  union all
  select 'pg_catalog.pg_event_trigger'::pg_catalog.regclass::pg_catalog.oid, oid from pg_catalog.pg_event_trigger where evtowner = 10 and oid >= 16384
  union all
  select 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass::pg_catalog.oid, oid from pg_catalog.pg_foreign_data_wrapper where fdwowner = 10 and oid >= 16384
  union all
  select 'pg_catalog.pg_foreign_server'::pg_catalog.regclass::pg_catalog.oid, oid from pg_catalog.pg_foreign_server where srvowner = 10 and oid >= 16384
  union all
  select 'pg_catalog.pg_language'::pg_catalog.regclass::pg_catalog.oid, oid from pg_catalog.pg_language where lanowner = 10 and oid >= 16384
  union all
  select 'pg_catalog.pg_largeobject_metadata'::pg_catalog.regclass::pg_catalog.oid, oid from pg_catalog.pg_largeobject_metadata where lomowner = 10 and oid >= 16384
  union all
  select 'pg_catalog.pg_namespace'::pg_catalog.regclass::pg_catalog.oid, oid from pg_catalog.pg_namespace where nspowner = 10 and oid >= 16384
  union all
  select 'pg_catalog.pg_opclass'::pg_catalog.regclass::pg_catalog.oid, oid from pg_catalog.pg_opclass where opcowner = 10 and oid >= 16384
  union all
  select 'pg_catalog.pg_operator'::pg_catalog.regclass::pg_catalog.oid, oid from pg_catalog.pg_operator where oprowner = 10 and oid >= 16384
  union all
  select 'pg_catalog.pg_opfamily'::pg_catalog.regclass::pg_catalog.oid, oid from pg_catalog.pg_opfamily where opfowner = 10 and oid >= 16384
  union all
  select 'pg_catalog.pg_proc'::pg_catalog.regclass::pg_catalog.oid, oid from pg_catalog.pg_proc where proowner = 10 and oid >= 16384
  union all
  select 'pg_catalog.pg_publication'::pg_catalog.regclass::pg_catalog.oid, oid from pg_catalog.pg_publication where pubowner = 10 and oid >= 16384
  union all
  select 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass::pg_catalog.oid, oid from pg_catalog.pg_statistic_ext where stxowner = 10 and oid >= 16384
  union all
  select 'pg_catalog.pg_ts_config'::pg_catalog.regclass::pg_catalog.oid, oid from pg_catalog.pg_ts_config where cfgowner = 10 and oid >= 16384
  union all
  select 'pg_catalog.pg_type'::pg_catalog.regclass::pg_catalog.oid, oid from pg_catalog.pg_type where typowner = 10 and oid >= 16384),
-- What sessions have for themselves: the server keeps its schemas, of the first superuser, for ever.
temporary_schema as (
  select oid from pg_catalog.pg_namespace where nspname ~ '^pg_(toast_)?temp_'),
temporary (classid, objid) as (
  select 'pg_catalog.pg_namespace'::pg_catalog.regclass::pg_catalog.oid, oid from temporary_schema
  union all
  select classid, objid from pg_catalog.pg_depend
  where refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass and refobjid in (select oid from temporary_schema)),
-- Members of an extension come with it, and the extension belongs to whoever creates it. What the server makes for
-- another object (deptype i) comes with that: arrays, row types, and a range type's functions, which the first
-- superuser owns whoever makes the type.
member as (
  select classid, objid from pg_catalog.pg_depend where deptype in ('e', 'i')
  union all
  select classid, objid from temporary),
acl (owner, items) as (
  select relowner, relacl from pg_catalog.pg_class where relacl is not null
  union all
  select relowner, attacl from pg_catalog.pg_attribute join pg_catalog.pg_class c on c.oid = attrelid where attacl is not null
  union all
  select proowner, proacl from pg_catalog.pg_proc where proacl is not null
  union all
  select nspowner, nspacl from pg_catalog.pg_namespace where nspacl is not null
  union all
  select typowner, typacl from pg_catalog.pg_type where typacl is not null
  union all
  select lanowner, lanacl from pg_catalog.pg_language where lanacl is not null
  union all
  select fdwowner, fdwacl from pg_catalog.pg_foreign_data_wrapper where fdwacl is not null
  union all
  select srvowner, srvacl from pg_catalog.pg_foreign_server where srvacl is not null
  union all
  select lomowner, lomacl from pg_catalog.pg_largeobject_metadata where lomacl is not null),
-- A load acts as a role that is to grant a privilege, as it does as an owner.
acting (role) as (
  select refobjid from pg_catalog.pg_shdepend s
  where refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass and deptype = 'o'
    and dbid = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
    and classid <> 'pg_catalog.pg_extension'::pg_catalog.regclass
    and not exists (select from member m where m.classid = s.classid and m.objid = s.objid)
  union
  select grantor from acl, pg_catalog.aclexplode(items) where grantor <> owner)
select pg_catalog.json_build_array(
  pg_catalog.pg_database_size(pg_catalog.current_database()),
  (select coalesce(pg_catalog.json_agg(extname order by extname), '[]')
   from pg_catalog.pg_extension where oid >= 16384),
  (select coalesce(pg_catalog.json_agg(distinct pg_catalog.pg_get_userbyid(role)), '[]') from acting),
  (select pg_catalog.pg_get_userbyid(10) where exists (
     select from o where not exists (select from member m where m.classid = o.classid and m.objid = o.objid))));
