-- The state of a database outside itself. to_jsonb of the row gives whatever columns this server's pg_database has.
with d as (select pg_catalog.to_jsonb(d) as row, d.* from pg_catalog.pg_database d where datname = :'db'),
s as (select setrole, item, nth from pg_catalog.pg_db_role_setting, d,
        unnest(setconfig) with ordinality as u (item, nth) where setdatabase = d.oid),
r as (select refobjid as oid from pg_catalog.pg_shdepend, d
        where refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
          and (dbid = d.oid or (classid = 'pg_catalog.pg_database'::pg_catalog.regclass and objid = d.oid))
      union select datdba from d
      union select setrole from s
      union select grantee from d, pg_catalog.aclexplode(datacl)
      union select 10)
select pg_catalog.jsonb_build_object(
  'name', datname, 'owner', pg_catalog.pg_get_userbyid(datdba),
  'encoding', pg_catalog.pg_encoding_to_char(encoding),
  'collate', row->>'datcollate', 'ctype', row->>'datctype', 'locale_provider', row->>'datlocprovider',
  'locale', coalesce(row->>'datlocale', row->>'daticulocale'), 'icu_rules', row->>'daticurules',
  'tablespace', (select spcname from pg_catalog.pg_tablespace t where t.oid = dattablespace),
  'connection_limit', datconnlimit,
  'comment', pg_catalog.shobj_description(oid, 'pg_database'),
  'grants', (select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('grantee', rolname,
               'privilege', privilege_type, 'grantable', is_grantable) order by nth)
             from pg_catalog.aclexplode(datacl) with ordinality as g (grantor, grantee, privilege_type, is_grantable, nth)
               left join pg_catalog.pg_roles a on a.oid = grantee),
  'settings', (select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('role', rolname,
                 'name', split_part(item, '=', 1), 'value', substr(item, strpos(item, '=') + 1))
                 order by rolname nulls first, nth), '[]')
               from s left join pg_catalog.pg_roles a on a.oid = setrole),
  'roles', (select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('name', rolname, 'login', rolcanlogin)
              order by rolname), '[]')
            from r join pg_catalog.pg_roles a using (oid) where rolname !~ '^pg_'))
from d;
