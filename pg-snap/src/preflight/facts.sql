with :parameters,
me as (
  select * from pg_catalog.pg_roles, parameters where rolname = current_user),
d as (
  select * from pg_catalog.pg_database where datname = (select database from parameters)),
-- Of the database that will read the names of roles.
e (encoding) as (
  select coalesce(of_dump, (select pg_catalog.pg_encoding_to_char(encoding) from d), of_text,
    pg_catalog.getdatabaseencoding()) from parameters),
wanted (nth, bytes) as (
  select nth, pg_catalog.convert(pg_catalog.decode(hex, 'hex'), 'UTF8', case when is_ascii then 'SQL_ASCII' else encoding end)
  from e, parameters, unnest(roles, ascii) with ordinality as w (hex, is_ascii, nth))
select pg_catalog.json_build_object(
  'me', current_user, 'superuser', rolsuper, 'may_create_databases', rolsuper or rolcreatedb,
  'may_create_roles', rolsuper or rolcreaterole,
  'may_end_others', rolsuper or pg_catalog.pg_has_role('pg_signal_backend', 'USAGE'),
  'connections', :connections,
  'connection_limit', case when not rolsuper then nullif(rolconnlimit, -1) end,
  'standby', pg_catalog.pg_is_in_recovery(),
  'database', (
    select pg_catalog.json_build_object(
      'owner', pg_catalog.pg_get_userbyid(datdba),
      'ours', pg_catalog.pg_has_role(datdba, 'USAGE'), 'is_template', datistemplate,
      'encoding', pg_catalog.pg_encoding_to_char(encoding),
      'size_bytes', case
        when pg_catalog.has_database_privilege(d.oid, 'CONNECT')
          or pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
        then pg_catalog.pg_database_size(d.oid) end)
    from d),
  'sessions', (
    select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('role', usename,
      'application', coalesce(application_name, ''), 'pid', pid) order by pid), '[]')
    from pg_catalog.pg_stat_activity
    where datname = any (me.names) and usesysid is not null
      and pid <> pg_catalog.pg_backend_pid() and not (:may_end)),
  'prepared', (
    select coalesce(pg_catalog.json_agg(gid order by gid), '[]')
    from pg_catalog.pg_prepared_xacts where database = me.database),
  'subscriptions', (
    select coalesce(pg_catalog.json_agg(subname order by subname), '[]')
    from d, pg_catalog.pg_subscription where subdbid = d.oid),
  'slots', (
    select coalesce(pg_catalog.json_agg(slot_name order by slot_name), '[]')
    from pg_catalog.pg_replication_slots where database = me.database),
  'encoding', (select encoding from e),
  'known_roles', (
    select pg_catalog.json_agg(pg_catalog.json_build_object(
      'wanted', nth, 'bytes', pg_catalog.encode(bytes, 'hex'),
      'login', rolcanlogin, 'set', pg_catalog.pg_has_role(oid, me.set_privilege),
      'usage', pg_catalog.pg_has_role(oid, 'USAGE'),
      'admin', pg_catalog.pg_has_role(oid, 'MEMBER WITH ADMIN OPTION')))
    from (select *, replace(rolname::text, E'\\', E'\\\\')::bytea as bytes from pg_catalog.pg_roles) as r
      left join wanted using (bytes)),
  'extensions', (
    select coalesce(pg_catalog.json_object_agg(name, superuser and not trusted), '{}')
    from pg_catalog.pg_available_extensions a
      join pg_catalog.pg_available_extension_versions v using (name)
    where v.version = a.default_version and name = any (me.extensions)),
  'extension_versions', (
    select coalesce(pg_catalog.json_object_agg(name, default_version), '{}')
    from pg_catalog.pg_available_extensions
    where name = any (me.extensions) and default_version is not null),
  'offered_versions', (
    select coalesce(pg_catalog.json_object_agg(name, versions), '{}')
    from (
      select name, pg_catalog.json_agg(version order by version) as versions
      from pg_catalog.pg_available_extension_versions
      where name = any (select unnest(me.extensions)) group by name) as o),
  'preloaded', (
    select setting from pg_catalog.pg_settings where name = 'shared_preload_libraries'),
  'cron_database', case
    when rolsuper or pg_catalog.pg_has_role('pg_read_all_settings', 'USAGE')
    then coalesce(nullif(pg_catalog.current_setting('cron.database_name', true), ''), 'postgres') end,
  'standbys_missing', case
    when exists (
      select from pg_catalog.pg_stat_replication
      where sync_state is null or sync_state in ('sync', 'quorum')) then ''
    else pg_catalog.current_setting('synchronous_standby_names') end,
  'icu', exists (
    select from pg_catalog.pg_collation
    where collprovider = 'i' and pg_catalog.pg_collation_actual_version(oid) is not null),
  'tablespaces', (
    select pg_catalog.json_object_agg(spcname, pg_catalog.json_build_object(
      'place', pg_catalog.pg_tablespace_location(oid),
      'ours', pg_catalog.has_tablespace_privilege(oid, 'CREATE')))
    from pg_catalog.pg_tablespace),
  'data_directory', (select setting from pg_catalog.pg_settings where name = 'data_directory'),
  'port', pg_catalog.current_setting('port')::int,
  'started', pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time())::bigint,
  'synchronous_standbys', pg_catalog.current_setting('synchronous_standby_names'),
  'max_wal_size', pg_catalog.pg_size_bytes(pg_catalog.current_setting('max_wal_size')))
from me;
