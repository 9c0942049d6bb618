//! `pg-snap load --schema`: one schema of a dump into the database in use.
//!
//! Everything happens in one transaction of one session: the existing schema is renamed, and the dump's is
//! created and filled. Nothing of it is visible before the commit, and any failure leaves the database as it
//! was.

mod dependents;
mod encoding;
mod feeder;
mod mentions;
mod report;
mod staged_rows;
mod transaction;

use super::advisory_lock::AdvisoryLock;
use super::load_session::LoadSession;
use super::remedy::RetryContext;
use super::search_paths::SearchPaths;
use super::{parallel_load, settings, statistics};
use crate::client::Clients;
use crate::database_names::DatabaseNames;
use crate::database_state::{DatabaseState, Role};
use crate::dump_file::{DumpFile, Source};
use crate::extract::{self, WantedSchema};
use crate::preflight::{self, Facts};
use crate::psql::{self, Server, Sessions};
use crate::server_error::LOCK_NOT_AVAILABLE;
use crate::sql::{MAX_NAME_BYTES, Name, ident, rename_schema, with_suffix, with_values};
use anyhow::{Context, Result, ensure};
use feeder::{Feeder, Sent};
use pipe_kit::{Stop, cleanup, warning};
use report::LoadedSchema;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use transaction::Transaction;

/// How long to wait for locks. Only tables in other schemas can be locked: those that the schema's foreign
/// keys refer to.
const LOCK_TIMEOUT: &str = "60s";

/// The options of `load --schema`.
pub struct SchemaOptions {
    /// The dump; `-` is standard input.
    pub file: PathBuf,
    /// The schema's name in the dump.
    pub schema: String,
    /// The schema's name in the database.
    pub into: String,
}

/// Loads a schema of the dump into `PGDATABASE`.
///
/// # Errors
/// [`Stop::refused`] if something outside depends on the existing schema, the dump holds no such schema, or
/// it does not fit the server; [`Stop::damaged`] if the dump is not whole. Nothing is changed then.
pub fn run(clients: &Clients, options: &SchemaOptions) -> Result<()> {
    let names = DatabaseNames::of(psql::wanted_database()?);
    if options.into.is_empty() || options.into.len() > MAX_NAME_BYTES {
        return Err(Stop::usage("a schema's name has 1 to 63 bytes").into());
    }
    let DumpFile { needs, source } =
        DumpFile::open(&options.file).context("nothing was changed")?;
    let server = Server::connect_beside(clients, &names.database)?.naming_sessions(&names.incoming);
    let facts = preflight::check_part(&server, &names.database, &needs)?;
    let mut lock = AdvisoryLock::take(&server, &names.database)?;
    let state = match &needs.state {
        Some(state) => state.clone(),
        None => DatabaseState::read(&server, &names.database)?.unwrap_or_default(),
    };
    let paths = super::search_paths(&server, &names.database, &needs, &state)?;
    let wanted = WantedSchema::new(&options.schema, needs.encoding.as_deref(), |encoding| {
        encoding::converted(&server, &options.schema, encoding)
    })?;
    let tenant = Tenant::new(server, names.database, facts, paths, options)?;
    tenant.run(source, &wanted, &mut lock, &needs.roles)
}

/// The load of one schema.
struct Tenant<'a> {
    server: Arc<Server>,
    database: String,
    facts: Facts,
    paths: SearchPaths,
    /// The schema's name in the dump.
    from: &'a str,
    /// Its name in the database.
    into: &'a str,
    /// The oid of the existing schema of this name, and the name under which it will be kept.
    existing: Option<(u32, String)>,
    /// A temporary name for another schema that has the same name as the dump's.
    aside: Option<String>,
    /// Whether the commit was sent.
    in_doubt: Cell<bool>,
    /// Tables in other schemas that its foreign keys refer to.
    referred: RefCell<Vec<Name>>,
}

impl<'a> Tenant<'a> {
    fn new(
        server: Server,
        database: String,
        facts: Facts,
        paths: SearchPaths,
        options: &'a SchemaOptions,
    ) -> Result<Self> {
        let (from, into) = (options.schema.as_str(), options.into.as_str());
        let schemas = schemas(&server, &database)?;
        let now = server.query(
            &server.maintenance,
            "SELECT pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC', '_\"before\"_YYYYMMDD\"T\"HH24MISS\"Z\"')",
        )?;
        Ok(Self {
            existing: schemas.get(into).map(|oid| (*oid, with_suffix(into, now.trim()))),
            aside: (from != into && schemas.contains_key(from))
                .then(|| with_suffix(from, "_pg_snap_aside")),
            server: Arc::new(server),
            database,
            facts,
            paths,
            from,
            into,
            in_doubt: Cell::new(false),
            referred: RefCell::default(),
        })
    }

    fn run(
        &self,
        source: Source,
        wanted: &WantedSchema,
        lock: &mut AdvisoryLock,
        dump_roles: &[Role],
    ) -> Result<()> {
        self.check_dependents()?;
        let (session, created) = self
            .load(source, wanted, lock)
            .map_err(|e| self.with_holders(e))
            .with_context(|| self.state())?;
        let loaded = LoadedSchema {
            server: &self.server,
            database: &self.database,
            me: &self.facts.me,
            from: self.from,
            into: self.into,
            kept: self.existing.as_ref().map(|(_, kept)| kept.as_str()),
        };
        report::report(&loaded, &created, dump_roles).with_context(|| self.state())?;
        if let Err(error) = self.analyze(session) {
            warning!(
                "the planner's statistics of schema {} are not gathered: {error:#}",
                self.into
            );
        }
        Ok(())
    }

    fn check_dependents(&self) -> Result<()> {
        match self.existing {
            Some(_) => dependents::check(&self.server, &self.database, self.into),
            None => Ok(()),
        }
    }

    /// Does everything up to the commit; returns the roles that were created.
    fn load(
        &self,
        source: Source,
        wanted: &WantedSchema,
        lock: &mut AdvisoryLock,
    ) -> Result<(LoadSession, Vec<Role>)> {
        let (server, database) = (Arc::clone(&self.server), self.database.clone());
        // A session that is still running must not continue to its commit.
        let ending = cleanup::on_failure(move || {
            // A server that is down has none.
            let _ = server.end_sessions(Sessions::WithOwnNameIn(&database));
        });
        let mut session = LoadSession::open(
            &self.server,
            &self.database,
            &format!(
                "{}SET lock_timeout = '{LOCK_TIMEOUT}';\nSET client_encoding = 'UTF8';\nBEGIN;\n{}",
                settings::for_database_in_use(&self.server, 1),
                self.rename_existing()
            ),
        )?;
        let context = RetryContext {
            paths: &self.paths,
            schema: Some(self.from),
            keep_going: false,
            has_rights: false,
        };
        let transaction = Transaction::new(&mut session, context)?;
        let mut feeder =
            Feeder::new(transaction, self.from, &self.facts, self.server.version.major);
        let read = extract::read(source, wanted, parallel_load::scanner(&self.server), &mut feeder);
        let (Sent { rows, roles, referred }, read) = feeder.finish(read);
        *self.referred.borrow_mut() = referred;
        read?;
        session.send(self.rename_loaded().as_bytes())?;
        let copied = session.sync()?;
        ensure!(copied == rows, "the server accepted {copied:?} rows where the dump has {rows:?}");
        // Something may have come to depend on it meanwhile.
        self.check_dependents()?;
        lock.check()?;
        self.in_doubt.set(true);
        session.send(b"COMMIT;\n")?;
        session.sync()?;
        ending.disarm();
        Ok((session, roles))
    }

    /// The statements that make the dump's names free.
    fn rename_existing(&self) -> String {
        let kept = self.existing.as_ref().map(|(_, kept)| rename_schema(self.into, kept));
        let aside = self.aside.as_ref().map(|aside| rename_schema(self.from, aside));
        kept.into_iter().chain(aside).collect()
    }

    /// The statements that reset what the dump may have set, and give each schema its final name.
    fn rename_loaded(&self) -> String {
        let mut script = format!(
            "SET client_encoding = 'UTF8';\nRESET ROLE;\n{}",
            dependents::forbid_partitions(self.from)
        );
        if self.from != self.into {
            script += &rename_schema(self.from, self.into);
        }
        if let Some(aside) = &self.aside {
            script += &rename_schema(aside, self.from);
        }
        script
    }

    /// The state of the schema, for an error.
    fn state(&self) -> String {
        let into = self.into.replace(char::is_control, "?");
        let before = self.existing.as_ref().map(|(oid, _)| *oid);
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
                "loading schema {into} failed, and it is not known whether the one before is still in place; run \
                 psql -c '\\dn' once the server answers"
            ),
        }
    }

    /// Adds to a lock timeout who holds the locks.
    fn with_holders(&self, error: anyhow::Error) -> anyhow::Error {
        if psql::sqlstate_of(&error) != Some(LOCK_NOT_AVAILABLE) {
            return error;
        }
        let referred = self.referred.borrow();
        let tables: Vec<String> = referred
            .iter()
            .map(|(schema, table)| format!("{}.{}", ident(schema), ident(table)))
            .collect();
        let tables = serde_json::to_string(&tables).unwrap_or_default();
        let query = with_values(include_str!("tenant/lock_holders.sql"), &[("tables", &tables)]);
        match self.server.query(&self.database, &query) {
            Ok(who) if !who.trim().is_empty() => error.context(format!(
                "waited {LOCK_TIMEOUT} for locks of other sessions: {}; end those, or load again later",
                who.trim()
            )),
            _ => error.context(format!("waited {LOCK_TIMEOUT} for locks of other sessions (pg_locks)")),
        }
    }

    fn analyze(&self, mut session: LoadSession) -> Result<()> {
        let query = with_values(include_str!("tenant/tables.sql"), &[("schema", self.into)]);
        let answer = self.server.query(&self.database, &query)?;
        let tables: Vec<String> = serde_json::from_str(&answer).context("listing tables")?;
        for table in tables {
            session.send(statistics::analyze(&(self.into.to_owned(), table), None).as_bytes())?;
        }
        session.sync()?;
        session.close()
    }
}

/// The schemas of a database, with their oids.
fn schemas(server: &Server, database: &str) -> Result<BTreeMap<String, u32>> {
    let query =
        "SELECT pg_catalog.json_object_agg(nspname, oid::bigint) FROM pg_catalog.pg_namespace";
    serde_json::from_str(&server.query(database, query)?).context("listing schemas")
}
