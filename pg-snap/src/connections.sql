(select least(
   case when not rolsuper and rolconnlimit >= 0
     then rolconnlimit - count(pid) filter (where usesysid = r.oid) end,
   case when not rolsuper and datconnlimit >= 0
     then datconnlimit - count(pid) filter (where datid = d.oid) end,
   pg_catalog.current_setting('max_connections')::bigint - count(pid) - case when rolsuper then 0
     else pg_catalog.current_setting('superuser_reserved_connections')::bigint
       + coalesce(pg_catalog.current_setting('reserved_connections', true), '0')::bigint end)
 from pg_catalog.pg_roles r
   left join pg_catalog.pg_database d on datname = :database
   left join pg_catalog.pg_stat_activity a on usesysid is not null
     -- The server hides what other roles' sessions are.
     and coalesce(backend_type, 'client backend') = 'client backend'
     and pid <> pg_catalog.pg_backend_pid() and not coalesce(application_name = :ours, false)
 where rolname = session_user
 group by r.oid, rolsuper, rolconnlimit, d.oid, datconnlimit)
