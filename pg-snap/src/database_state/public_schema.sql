(select json_build_object(
   'owner', case when nspowner <> 10 then pg_get_userbyid(nspowner) end,
   'rights', (select coalesce(json_agg(json_build_array(rolname, privilege_type) order by rolname nulls first, privilege_type), '[]')
     from (select distinct rolname, privilege_type from aclexplode(coalesce(nspacl, acldefault('n', nspowner)))
       left join pg_roles on oid = grantee where grantee <> nspowner and (grantee = 0 or rolname is not null)) as x))
 from pg_namespace where nspname = 'public' and current_setting('server_version_num')::int < 150000)
