-- The state of a database outside itself. to_jsonb of the row gives whatever columns this server's pg_database has.
-- A role that no longer exists is not the same as none, which stands for PUBLIC and for the database itself: its
-- privileges and settings, which nobody has, are left out.
with d as (select pg_catalog.to_jsonb(d) as row, d.* from pg_catalog.pg_database d where datname = :'db'),
s as (select setrole, rolname, split_part(item, '=', 1) as name, substr(item, strpos(item, '=') + 1) as value, nth
      from d join pg_catalog.pg_db_role_setting on setdatabase = d.oid
        left join pg_catalog.pg_roles a on a.oid = setrole,
        unnest(setconfig) with ordinality as u (item, nth)
      where setrole = 0 or a.oid is not null),
r as (select refobjid as oid from pg_catalog.pg_shdepend, d
        where refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
          and (dbid = d.oid or (classid = 'pg_catalog.pg_database'::pg_catalog.regclass and objid = d.oid))
      union select datdba from d
      union select setrole from s
      union select a.oid from s join pg_catalog.pg_roles a on a.rolname = s.value
        where lower(s.name) in ('role', 'session_authorization')
      union select grantee from d, pg_catalog.aclexplode(datacl)
      union select grantor from d, pg_catalog.aclexplode(datacl)
      union select 10)
select pg_catalog.jsonb_build_object(
  'name', datname, 'owner', pg_catalog.pg_get_userbyid(datdba),
  'encoding', pg_catalog.pg_encoding_to_char(encoding),
  'collate', row->>'datcollate', 'ctype', row->>'datctype', 'locale_provider', row->>'datlocprovider',
  'locale', coalesce(row->>'datlocale', row->>'daticulocale'), 'icu_rules', row->>'daticurules',
  'tablespace', (select spcname from pg_catalog.pg_tablespace t where t.oid = dattablespace),
  -- An interrupted DROP leaves -2.
  'connection_limit', greatest(datconnlimit, -1),
  'comment', pg_catalog.shobj_description(oid, 'pg_database'),
  -- No privileges at all are an empty array; null are the server's defaults.
  'grants', case when datacl is not null then
    (select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('grantee', a.rolname,
               'privilege', privilege_type, 'grantable', is_grantable,
               'grantor', case when grantor <> datdba then b.rolname end) order by nth), '[]')
     from pg_catalog.aclexplode(datacl) with ordinality as g (grantor, grantee, privilege_type, is_grantable, nth)
       left join pg_catalog.pg_roles a on a.oid = grantee
       left join pg_catalog.pg_roles b on b.oid = grantor
     where grantee = 0 or a.oid is not null) end,
  'settings', (select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('role', rolname,
                 'name', name, 'value', value) order by rolname nulls first, nth), '[]') from s),
  'roles', (select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('name', rolname, 'login', rolcanlogin)
              order by rolname), '[]')
            from r join pg_catalog.pg_roles a using (oid) where rolname !~ '^pg_'))
from d;
