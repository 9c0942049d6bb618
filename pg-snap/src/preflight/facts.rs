//! What the server says that a load depends on.

use super::probes::{self, FailedProbe};
use crate::head::Needs;
use crate::psql::{MAY_END, Server, sqlstate_of};
use crate::server_error::{INVALID_PARAMETER_VALUE, UNDEFINED_OBJECT};
use crate::sql::{ident, literal};
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Facts about the server, as the connected role sees them.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Facts {
    /// The connected role.
    pub me: String,
    pub superuser: bool,
    pub may_create_databases: bool,
    pub may_create_roles: bool,
    /// Whether the sessions of any ordinary role may be ended.
    pub may_end_others: bool,
    /// A standby takes no writes.
    pub standby: bool,
    /// The database that will be replaced.
    pub database: Option<Existing>,
    /// Sessions in the way that we may not end.
    pub sessions: Vec<BlockingSession>,
    /// Names of prepared transactions in the database.
    pub prepared: Vec<String>,
    pub subscriptions: Vec<String>,
    /// Names of logical replication slots of the database.
    pub slots: Vec<String>,
    /// Every role, with what we may do with it.
    pub roles: BTreeMap<String, Membership>,
    /// Those of the wanted extensions that the server has: whether only a superuser may create it.
    pub extensions: BTreeMap<String, bool>,
    /// Which version of each it would create.
    pub extension_versions: BTreeMap<String, String>,
    /// `shared_preload_libraries`; none where the connected role may not know.
    pub preloaded: Option<String>,
    /// The one database that pg_cron may be in; none where the connected role may not know.
    pub cron_database: Option<String>,
    /// `synchronous_standby_names`, where no such standby is connected; else empty.
    pub standbys_missing: String,
    /// What was tried, and why it failed.
    #[serde(skip)]
    pub failed: Vec<FailedProbe>,
    pub tablespaces: BTreeMap<String, Tablespace>,
    /// Parameters among those that the dump sets on its database which only a superuser may set.
    pub guarded_settings: Vec<String>,
    /// Parameters among them that the server does not know.
    #[serde(skip)]
    pub unknown_settings: Vec<String>,
    /// Parameters among them that the server does not list: some it hides.
    pub unlisted_settings: Vec<String>,
    pub icu: bool,
    /// None where the connected role may not know.
    pub data_directory: Option<String>,
    pub port: u16,
    /// When the server was started, in seconds since 1970.
    pub started: i64,
    /// In bytes.
    pub max_wal_size: u64,
    /// `synchronous_standby_names`.
    pub synchronous_standbys: String,
    /// Locales of the dump that the server's system lacks.
    #[serde(skip)]
    pub unknown_locales: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Existing {
    pub owner: String,
    /// Whether we have its owner's rights.
    pub ours: bool,
    pub is_template: bool,
    /// None where the connected role may not know.
    pub size_bytes: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Tablespace {
    /// Its directory; empty where that is the server's own.
    pub place: String,
    /// Whether we may make something in it.
    pub ours: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub struct BlockingSession {
    pub role: String,
    pub application: String,
    pub pid: u32,
}

/// What the connected role may do with another.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Membership {
    /// Give things to it.
    pub set: bool,
    /// Use its rights.
    pub usage: bool,
    /// Change it, as `ALTER ROLE … SET` does.
    pub admin: bool,
    /// Whether it may log in.
    pub login: bool,
}

impl Facts {
    /// Asks. `names` are the databases that no session may be in.
    ///
    /// # Errors
    /// If the server does not answer.
    pub fn query(server: &Server, database: &str, names: &[&str], needs: &Needs) -> Result<Self> {
        let ask = facts_query(server.version.major, database, names, needs);
        let answer = server.query(&server.maintenance, &ask)?;
        let mut facts: Self =
            serde_json::from_str(&answer).context("asking the server what a load depends on")?;
        facts.unknown_locales = unknown_locales(server, needs)?;
        facts.unknown_settings = unknown_settings(server, &facts.unlisted_settings)?;
        let requirements = needs.state.as_ref().and_then(|state| state.requirements.as_ref());
        facts.failed = match requirements.filter(|_| !facts.standby) {
            Some(requirements) => probes::try_all(server, probes::probes_for(requirements))?,
            None => Vec::new(),
        };
        Ok(facts)
    }
}

/// What the server is set up to, as members of the answer.
const SERVER: &str = "\
  'preloaded', (select setting from pg_catalog.pg_settings where name = 'shared_preload_libraries'),
  'cron_database', case when rolsuper or pg_catalog.pg_has_role('pg_read_all_settings', 'USAGE')
    then coalesce(nullif(pg_catalog.current_setting('cron.database_name', true), ''), 'postgres') end,
  'standbys_missing', case when exists (select from pg_catalog.pg_stat_replication
      where sync_state is null or sync_state in ('sync', 'quorum')) then ''
    else pg_catalog.current_setting('synchronous_standby_names') end,
  'icu', exists (select from pg_catalog.pg_collation
    where collprovider = 'i' and pg_catalog.pg_collation_actual_version(oid) is not null),
";

fn facts_query(major: u32, database: &str, names: &[&str], needs: &Needs) -> String {
    let settings = needs.state.iter().flat_map(|s| &s.settings).map(|s| s.name.as_str());
    let settings = list(settings);
    let extensions = list(needs.extensions.iter().map(String::as_str));
    let names = list(names.iter().copied());
    let database = literal(database);
    let set = if major >= 16 { "'SET'" } else { "'MEMBER'" };
    // Before PostgreSQL 15, the right to set one could not be granted.
    let granted = match major {
        15.. => " and not pg_catalog.has_parameter_privilege(name, 'SET')",
        _ => "",
    };
    format!(
        "\
with me as (select * from pg_catalog.pg_roles where rolname = current_user),
d as (select * from pg_catalog.pg_database where datname = {database})
select pg_catalog.json_build_object(
  'me', current_user, 'superuser', rolsuper, 'may_create_databases', rolsuper or rolcreatedb,
  'may_create_roles', rolsuper or rolcreaterole,
  'may_end_others', rolsuper or pg_catalog.pg_has_role('pg_signal_backend', 'USAGE'),
  'standby', pg_catalog.pg_is_in_recovery(),
  'database', (select pg_catalog.json_build_object('owner', pg_catalog.pg_get_userbyid(datdba),
      'ours', pg_catalog.pg_has_role(datdba, 'USAGE'), 'is_template', datistemplate,
      'size_bytes', case when pg_catalog.has_database_privilege(d.oid, 'CONNECT')
          or pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') then pg_catalog.pg_database_size(d.oid) end)
    from d),
  'sessions', (select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('role', usename,
      'application', coalesce(application_name, ''), 'pid', pid) order by pid), '[]')
    from pg_catalog.pg_stat_activity where datname in ({names}) and usesysid is not null
      and pid <> pg_catalog.pg_backend_pid() and not ({MAY_END})),
  'prepared', (select coalesce(pg_catalog.json_agg(gid order by gid), '[]')
    from pg_catalog.pg_prepared_xacts where database = {database}),
  'subscriptions', (select coalesce(pg_catalog.json_agg(subname order by subname), '[]')
    from d, pg_catalog.pg_subscription where subdbid = d.oid),
  'slots', (select coalesce(pg_catalog.json_agg(slot_name order by slot_name), '[]')
    from pg_catalog.pg_replication_slots where database = {database}),
  'roles', (select pg_catalog.json_object_agg(rolname, pg_catalog.json_build_object(
      'login', rolcanlogin, 'set', pg_catalog.pg_has_role(oid, {set}), 'usage', pg_catalog.pg_has_role(oid, 'USAGE'),
      'admin', pg_catalog.pg_has_role(oid, 'MEMBER WITH ADMIN OPTION')))
    from pg_catalog.pg_roles),
  'extensions', (select coalesce(pg_catalog.json_object_agg(name, superuser and not trusted), '{{}}')
    from pg_catalog.pg_available_extensions a join pg_catalog.pg_available_extension_versions v using (name)
    where v.version = a.default_version and name in ({extensions})),
  'extension_versions', (select coalesce(pg_catalog.json_object_agg(name, default_version), '{{}}')
    from pg_catalog.pg_available_extensions where name in ({extensions}) and default_version is not null),
{SERVER}  'tablespaces', (select pg_catalog.json_object_agg(spcname, pg_catalog.json_build_object(
      'place', pg_catalog.pg_tablespace_location(oid), 'ours', pg_catalog.has_tablespace_privilege(oid, 'CREATE')))
    from pg_catalog.pg_tablespace),
  'guarded_settings', (select coalesce(pg_catalog.json_agg(name order by name), '[]')
    from pg_catalog.pg_settings where context in ('superuser', 'superuser-backend') and name in ({settings}){granted}),
  'unlisted_settings', (select coalesce(pg_catalog.json_agg(distinct name), '[]')
    from unnest(array[{settings}]::text[]) as u (name)
    where name !~ '[.]' and pg_catalog.lower(name) not in (select pg_catalog.lower(s.name) from pg_catalog.pg_settings s)),
  'data_directory', (select setting from pg_catalog.pg_settings where name = 'data_directory'),
  'port', pg_catalog.current_setting('port')::int,
  'started', pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time())::bigint,
  'synchronous_standbys', pg_catalog.current_setting('synchronous_standby_names'),
  'max_wal_size', pg_catalog.pg_size_bytes(pg_catalog.current_setting('max_wal_size')))
from me"
    )
}

/// One that is hidden, or goes by a newer name, is known nevertheless: setting it tells, by a code
/// that is the same in every language, and changes nothing but the session that tries.
fn unknown_settings(server: &Server, names: &[String]) -> Result<Vec<String>> {
    let mut unknown = Vec::new();
    for name in names {
        let script = format!("SET {} TO DEFAULT;\n", ident(name));
        match server.execute(&server.maintenance, &script) {
            Err(error) if sqlstate_of(&error) == Some(UNDEFINED_OBJECT) => {
                unknown.push(name.clone());
            }
            // Whether we may set it is another question.
            Err(_) | Ok(()) => {}
        }
    }
    Ok(unknown)
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    // Never empty, which SQL does not allow; a null is like nothing.
    std::iter::once("null".to_owned()).chain(names.map(literal)).collect::<Vec<_>>().join(", ")
}

/// Setting a locale for money is refused where the system lacks it, and changes nothing but the
/// session that tries.
fn unknown_locales(server: &Server, needs: &Needs) -> Result<Vec<String>> {
    let Some(state) = &needs.state else { return Ok(Vec::new()) };
    let mut locales = vec![&state.collate, &state.ctype];
    locales.dedup();
    let mut unknown = Vec::new();
    for locale in locales {
        let script = format!("SET lc_monetary = {};\n", literal(locale));
        match server.execute(&server.maintenance, &script) {
            Err(error) if sqlstate_of(&error) == Some(INVALID_PARAMETER_VALUE) => {
                unknown.push(locale.clone());
            }
            answer => answer?,
        }
    }
    Ok(unknown)
}
