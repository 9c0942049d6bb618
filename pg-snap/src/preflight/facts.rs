//! What a load depends on, as the server reports it.

use super::known_roles::{self, KnownRole, Membership};
use super::probes::{self, FailedProbe};
use super::settings::{self, Reason, RefusedSetting};
use crate::connections;
use crate::head::Needs;
use crate::psql::{MAY_END, Server, sqlstate_of};
use crate::server_error::INVALID_PARAMETER_VALUE;
use crate::sql::literal;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The server's answer.
#[derive(Deserialize)]
struct Answer {
    #[serde(flatten)]
    facts: Facts,
    known_roles: Vec<KnownRole>,
    /// In which the database of the load will read names.
    encoding: String,
}

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
    /// How many sessions of the role the server accepts besides those that it has.
    pub connections: i64,
    /// Of the role; none if it has no limit.
    pub connection_limit: Option<i64>,
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
    /// Roles, with what we may do with each: those that the dump needs and the server has, and all others whose
    /// name is known to be the same text in the dump.
    #[serde(skip)]
    pub roles: BTreeMap<String, Membership>,
    /// Whether only a superuser may create it, of each needed extension that the server has.
    pub extensions: BTreeMap<String, bool>,
    /// The version of each that the server would create.
    pub extension_versions: BTreeMap<String, String>,
    /// All versions of each that the server can create.
    pub offered_versions: BTreeMap<String, Vec<String>>,
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
    /// Settings of the dump's database that the server does not accept.
    #[serde(skip)]
    pub refused_settings: Vec<RefusedSetting>,
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

impl Facts {
    /// Reads them from the server. `names` are the databases that no session may be in; `encoding` is that of the
    /// database that will be made, none for an existing one or if it is not known.
    pub fn query(
        server: &Server,
        database: &str,
        names: &[&str],
        (needs, encoding): (&Needs, Option<&str>),
    ) -> Result<Self> {
        let query = facts_query(server.version.major, database, names, (needs, encoding));
        let answer = server.query(&server.maintenance, &query)?;
        let Answer { mut facts, known_roles, encoding } =
            serde_json::from_str(&answer).context("reading the facts that a load depends on")?;
        facts.roles = known_roles::by_name(known_roles, &needs.roles, &encoding);
        facts.unknown_locales = unknown_locales(server, needs)?;
        if let Some(state) = needs.state.as_ref().filter(|_| !facts.standby) {
            facts.refused_settings = settings::try_all(server, &state.settings)?;
            if let Some(requirements) = &state.requirements {
                let mut probes = probes::probes_for(requirements);
                probes.retain(|probe| !(facts.superuser && probe.subject.is_guarded()));
                facts.failed = probes::try_all(server, probes)?;
            }
        }
        Ok(facts)
    }

    /// The names of the dump's settings that the server does not know, each once.
    pub fn unknown_settings(&self) -> Vec<&str> {
        let unknown = self.refused_settings.iter().filter(|s| s.reason == Reason::Unknown);
        let mut names: Vec<&str> = unknown.map(|s| s.setting.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// Fills in the parameters last, and all at once: their values may look like a placeholder.
fn facts_query(
    major: u32,
    database: &str,
    names: &[&str],
    (needs, encoding): (&Needs, Option<&str>),
) -> String {
    let set_privilege = if major >= 16 { "SET" } else { "MEMBER" };
    let or_null = |text: Option<&str>| text.map_or("null".into(), literal);
    let parameters = format!(
        "parameters (database, names, extensions, set_privilege, of_dump, of_text, roles, ascii) as \
         (select {}::name, {}::name[], {}::name[], '{set_privilege}'::text, {}::name, {}::name, {})",
        literal(database),
        array(names.iter().copied()),
        array(needs.extensions.iter().map(String::as_str)),
        or_null(encoding),
        or_null(needs.encoding.as_deref()),
        known_roles::wanted(&needs.roles)
    );
    // The new database has no limit of its own.
    let connections = connections::accepted("null", "null");
    include_str!("facts.sql")
        .replace(":may_end", MAY_END)
        .replace(":connections", &connections)
        .replacen(":parameters", &parameters, 1)
}

fn array<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    format!("array[{}]", texts.map(literal).collect::<Vec<_>>().join(", "))
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
