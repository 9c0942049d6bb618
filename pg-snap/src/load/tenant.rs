//! `pg-snap load --schema`: one schema of a dump back into the database in use.
//!
//! Everything happens in one transaction of one session: the present schema gets another name, the
//! dump's is made and filled. Nobody sees any of it before the commit, and whatever fails leaves the
//! database as it was.

mod dependents;
mod feeder;
mod mentions;
mod named_roles;
mod report;

use super::lease::Lease;
use super::talk::Talk;
use super::{feed, settings, statistics};
use crate::client::Clients;
use crate::database_names::DatabaseNames;
use crate::database_state::Role;
use crate::dump_file::{DumpFile, Source};
use crate::extract;
use crate::preflight::{self, Facts};
use crate::psql::{self, MAY_END, Server};
use crate::server_error::LOCK_NOT_AVAILABLE;
use crate::sql::{beside, ident, literal};
use crate::words::Name;
use anyhow::{Context, Result, ensure};
use feeder::Feeder;
use pipe_kit::{Stop, cleanup, warning};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// PostgreSQL cuts longer names silently.
const NAME_BYTES: usize = 63;
/// How long to wait for what somebody else holds locked. Only tables elsewhere that the schema's
/// foreign keys refer to are.
const LOCK_TIMEOUT: &str = "60s";

/// What `load --schema` is told.
pub struct Options {
    /// The dump; `-` is standard input.
    pub file: PathBuf,
    /// The schema's name in the dump.
    pub schema: String,
    /// The schema's name in the database.
    pub into: String,
}

/// Brings a schema of the dump back into `PGDATABASE`.
///
/// # Errors
/// [`Stop::refused`] if something outside depends on the schema that is there, the dump holds no such
/// schema, or it does not fit the server; [`Stop::damaged`] if the dump is not whole; else what
/// PostgreSQL says. Nothing is changed then.
pub fn run(clients: &Clients, options: &Options) -> Result<()> {
    let names = DatabaseNames::of(psql::wanted_database()?);
    if options.into.is_empty() || options.into.len() > NAME_BYTES {
        return Err(Stop::usage("a schema's name has 1 to 63 bytes").into());
    }
    let DumpFile { needs, source } =
        DumpFile::open(&options.file).context("nothing was changed")?;
    let server = Server::connect_beside(clients, &names.database)?.naming_sessions(&names.incoming);
    let facts = preflight::check_part(&server, &names.database, &needs)?;
    let mut lease = Lease::take(&server, &names.database)?;
    let tenant = Tenant::new(server, names.database, facts, options)?;
    tenant.run(source, &mut lease, &needs.roles)
}

struct Tenant<'a> {
    server: Arc<Server>,
    database: String,
    facts: Facts,
    /// The schema's name in the dump.
    from: &'a str,
    /// Its name in the database.
    into: &'a str,
    /// The schema that has this name now, if there is one, and the name under which it will be kept.
    present: Option<(u32, String)>,
    /// The name that a schema gets for a moment that is called as the dump's, and is another.
    aside: Option<String>,
    /// Whether the server was told to commit.
    in_doubt: Cell<bool>,
    referred: RefCell<Vec<Name>>,
}

impl<'a> Tenant<'a> {
    fn new(server: Server, database: String, facts: Facts, options: &'a Options) -> Result<Self> {
        let (from, into) = (options.schema.as_str(), options.into.as_str());
        let there = schemas(&server, &database)?;
        let now = server.query(
            &server.maintenance,
            "SELECT pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC', '_\"before\"_YYYYMMDD\"T\"HH24MISS\"Z\"')",
        )?;
        Ok(Self {
            present: there.get(into).map(|oid| (*oid, beside(into, now.trim()))),
            aside: (from != into && there.contains_key(from))
                .then(|| beside(from, "_pg_snap_aside")),
            server: Arc::new(server),
            database,
            facts,
            from,
            into,
            in_doubt: Cell::new(false),
            referred: RefCell::default(),
        })
    }

    fn run(&self, source: Source, lease: &mut Lease, of_dump: &[Role]) -> Result<()> {
        self.check_dependents()?;
        let (talk, made) = self
            .load(source, lease)
            .map_err(|e| self.with_holders(e))
            .with_context(|| self.state_of_things())?;
        report::tell(self, &made, of_dump).with_context(|| self.state_of_things())?;
        if let Err(error) = self.analyze(talk) {
            warning!(
                "the planner's statistics of schema {} are not gathered: {error:#}",
                self.into
            );
        }
        Ok(())
    }

    fn check_dependents(&self) -> Result<()> {
        match self.present {
            Some(_) => dependents::check(&self.server, &self.database, self.into),
            None => Ok(()),
        }
    }

    /// Does it all, up to the commit; gives the roles that were made.
    fn load(&self, source: Source, lease: &mut Lease) -> Result<(Talk, Vec<Role>)> {
        let (server, database) = (Arc::clone(&self.server), self.database.clone());
        // Whatever it is in the middle of, it must not go on with.
        let session = cleanup::on_failure(move || end_session(&server, &database));
        let mut talk = Talk::open(
            &self.server,
            &self.database,
            &format!(
                "{}SET lock_timeout = '{LOCK_TIMEOUT}';\nSET client_encoding = 'UTF8';\nBEGIN;\n{}",
                settings::begin_in_place(&self.server, 1),
                self.out_of_the_way()
            ),
        )?;
        let major = self.server.version.major;
        let mut feeder = Feeder::new(&mut talk, self.from, &self.facts, major);
        let read = extract::read(source, self.from, feed::scanner(&self.server), &mut feeder);
        let (rows, roles, referred) = (feeder.rows, feeder.roles, feeder.referred);
        *self.referred.borrow_mut() = referred;
        read?;
        talk.send(self.take_its_place().as_bytes())?;
        let copied = talk.sync()?;
        ensure!(copied == rows, "the server took {copied:?} rows where the dump has {rows:?}");
        // What has come to depend on it meanwhile.
        self.check_dependents()?;
        lease.still_held()?;
        self.in_doubt.set(true);
        talk.send(b"COMMIT;\n")?;
        talk.sync()?;
        session.disarm();
        Ok((talk, roles))
    }

    /// Makes room for the dump's names.
    fn out_of_the_way(&self) -> String {
        let kept = self.present.as_ref().map(|(_, kept)| renamed(self.into, kept));
        let aside = self.aside.as_ref().map(|aside| renamed(self.from, aside));
        kept.into_iter().chain(aside).collect()
    }

    /// Ends what the dump may have set, and gives each schema the name that it is to have.
    fn take_its_place(&self) -> String {
        let mut script = format!(
            "SET client_encoding = 'UTF8';\nSET SESSION AUTHORIZATION DEFAULT;\n{}",
            dependents::forbid_parts(self.from)
        );
        if self.from != self.into {
            script += &renamed(self.from, self.into);
        }
        if let Some(aside) = &self.aside {
            script += &renamed(aside, self.from);
        }
        script
    }

    /// What an operator must know beside the error.
    fn state_of_things(&self) -> String {
        let into = self.into.replace(char::is_control, "?");
        let before = self.present.as_ref().map(|(oid, _)| *oid);
        let now = match self.in_doubt.get() {
            true => {
                schemas(&self.server, &self.database).ok().map(|all| all.get(self.into).copied())
            }
            false => Some(before),
        };
        match now {
            Some(now) if now == before => match before {
                Some(_) => format!("loading schema {into} failed; it is as it was"),
                None => format!(
                    "loading schema {into} failed; nothing was changed (there was none before)"
                ),
            },
            Some(_) => format!("schema {into} is loaded and in place"),
            None => format!(
                "loading schema {into} failed, and whether the one before is still in place is not known; ask \
                 psql -c '\\dn' once the server answers"
            ),
        }
    }

    /// Who holds what the load has waited for in vain.
    fn with_holders(&self, error: anyhow::Error) -> anyhow::Error {
        if psql::sqlstate_of(&error) != Some(LOCK_NOT_AVAILABLE) {
            return error;
        }
        let tables: Vec<String> = self
            .referred
            .borrow()
            .iter()
            .map(|(schema, table)| literal(&format!("{}.{}", ident(schema), ident(table))))
            .collect();
        let ask = format!(
            "SELECT pg_catalog.string_agg(DISTINCT usename || ' (pid ' || pid || ') on ' || relation::pg_catalog.regclass, ', ') \
             FROM pg_catalog.pg_locks JOIN pg_catalog.pg_stat_activity USING (pid) \
             WHERE granted AND mode NOT IN ('AccessShareLock', 'RowShareLock') \
             AND relation IN (SELECT pg_catalog.to_regclass(t) FROM unnest(array[{}]::text[]) u (t))",
            tables.join(", ")
        );
        match self.server.query(&self.database, &ask) {
            Ok(who) if !who.trim().is_empty() => error.context(format!(
                "waited {LOCK_TIMEOUT} for what somebody holds locked: {}; end that, or load again later",
                who.trim()
            )),
            _ => error.context(format!("waited {LOCK_TIMEOUT} for what somebody holds locked (pg_locks)")),
        }
    }

    fn analyze(&self, mut talk: Talk) -> Result<()> {
        let answer = self.server.query(
            &self.database,
            &format!(
                "SELECT coalesce(pg_catalog.json_agg(relname), '[]') FROM pg_catalog.pg_class c \
                 JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace AND nspname = {} WHERE relkind IN ('r', 'p', 'm')",
                literal(self.into)
            ),
        )?;
        let tables: Vec<String> = serde_json::from_str(&answer).context("listing tables")?;
        for table in tables {
            talk.send(statistics::gather(&(self.into.to_owned(), table)).as_bytes())?;
        }
        talk.sync()?;
        talk.close()
    }
}

fn renamed(from: &str, to: &str) -> String {
    format!("ALTER SCHEMA {} RENAME TO {};\n", ident(from), ident(to))
}

/// The schemas of a database, with their oids.
fn schemas(server: &Server, database: &str) -> Result<BTreeMap<String, u32>> {
    let ask =
        "SELECT pg_catalog.json_object_agg(nspname, oid::bigint) FROM pg_catalog.pg_namespace";
    serde_json::from_str(&server.query(database, ask)?).context("listing schemas")
}

/// A server that is down has none.
fn end_session(server: &Server, database: &str) {
    let timeout = if server.version.major >= 14 { ", 10000" } else { "" };
    let _ = server.query(
        &server.maintenance,
        &format!(
            "SELECT pg_catalog.pg_terminate_backend(pid{timeout}) FROM pg_catalog.pg_stat_activity \
             WHERE datname = {} AND application_name = pg_catalog.current_setting('application_name') \
             AND pid <> pg_catalog.pg_backend_pid() AND ({MAY_END})",
            literal(database)
        ),
    );
}
