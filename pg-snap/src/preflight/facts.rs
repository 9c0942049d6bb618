//! What a load depends on, as the server reports it.

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
    /// A standby accepts no writes.
    pub standby: bool,
    /// The database that will be replaced.
    pub database: Option<Existing>,
    /// Sessions in the database that we may not end.
    pub sessions: Vec<BlockingSession>,
    /// Names of prepared transactions in the database.
    pub prepared: Vec<String>,
    pub subscriptions: Vec<String>,
    /// Names of logical replication slots of the database.
    pub slots: Vec<String>,
    /// Every role, with what we may do with it.
    pub roles: BTreeMap<String, Membership>,
    /// Whether only a superuser may create it, of each needed extension that the server has.
    pub extensions: BTreeMap<String, bool>,
    /// The version of each that the server would create.
    pub extension_versions: BTreeMap<String, String>,
    /// `shared_preload_libraries`; none if the connected role may not read it.
    pub preloaded: Option<String>,
    /// The one database that pg_cron may be in; none if the connected role may not read it.
    pub cron_database: Option<String>,
    /// `synchronous_standby_names`, if no such standby is connected; else empty.
    pub standbys_missing: String,
    /// The probes that failed.
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
    /// None if the connected role may not read it.
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
    pub encoding: String,
    /// None if the connected role may not read it.
    pub size_bytes: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Tablespace {
    /// Its directory; empty where that is the server's own.
    pub place: String,
    /// Whether we may create objects in it.
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
    /// Make it the owner of objects.
    pub set: bool,
    /// Use its rights.
    pub usage: bool,
    /// Change it, as `ALTER ROLE … SET` does.
    pub admin: bool,
    /// Whether it may log in.
    pub login: bool,
}

impl Facts {
    /// Reads them from the server. `names` are the databases that no session may be in.
    pub fn query(server: &Server, database: &str, names: &[&str], needs: &Needs) -> Result<Self> {
        let query = facts_query(server.version.major, database, names, needs);
        let answer = server.query(&server.maintenance, &query)?;
        let mut facts: Self =
            serde_json::from_str(&answer).context("reading the facts that a load depends on")?;
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

/// Fills in the parameters last, and all at once: their values may look like a placeholder.
fn facts_query(major: u32, database: &str, names: &[&str], needs: &Needs) -> String {
    let settings = needs.state.iter().flat_map(|s| &s.settings).map(|s| s.name.as_str());
    let set_privilege = if major >= 16 { "SET" } else { "MEMBER" };
    // Before PostgreSQL 15, the right to set one could not be granted.
    let may_set = match major {
        15.. => "pg_catalog.has_parameter_privilege(name, 'SET')",
        _ => "false",
    };
    let parameters = format!(
        "parameters (database, names, extensions, settings, set_privilege) as \
         (select {}::name, {}::name[], {}::name[], {}::text[], '{set_privilege}'::text)",
        literal(database),
        array(names.iter().copied()),
        array(needs.extensions.iter().map(String::as_str)),
        array(settings)
    );
    let query = include_str!("facts.sql").replace(":may_end", MAY_END).replace(":may_set", may_set);
    query.replacen(":parameters", &parameters, 1)
}

fn array<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    format!("array[{}]", texts.map(literal).collect::<Vec<_>>().join(", "))
}

/// A setting that is hidden, or has a newer name, is known nevertheless. Setting it gives the answer, by a
/// code that is the same in every language, and changes only the session that tries.
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
