-- Objects that the first superuser owns, of which the server keeps no record. Those below 16384, the first oid
-- that an initialised server gives out, are the server's own.
with o (classid, objid) as (
  select 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid, oid from pg_catalog.pg_class where relowner = 10 and oid >= 16384
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
-- Members of an extension come with it, and the extension belongs to whoever creates it.
member as (
  select classid, objid from pg_catalog.pg_depend where deptype = 'e')
select pg_catalog.json_build_array(
  pg_catalog.pg_database_size(pg_catalog.current_database()),
  (select coalesce(pg_catalog.json_agg(extname order by extname), '[]')
   from pg_catalog.pg_extension where oid >= 16384),
  (select coalesce(pg_catalog.json_agg(distinct pg_catalog.pg_get_userbyid(refobjid)), '[]')
   from pg_catalog.pg_shdepend s
   where refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass and deptype = 'o'
     and dbid = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
     and classid <> 'pg_catalog.pg_extension'::pg_catalog.regclass
     and not exists (select from member m where m.classid = s.classid and m.objid = s.objid)),
  (select pg_catalog.pg_get_userbyid(10) where exists (
     select from o where not exists (select from member m where m.classid = o.classid and m.objid = o.objid))));
