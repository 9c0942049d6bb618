//! `pg-snap load`: loads a dump into an incoming database, then swaps the names.
//!
//! The old database is in use until the swap, and a failure leaves it as it was. The swap is one transaction,
//! after all of a whole dump was loaded.
//!
//! A statement reader cuts the dump into statements and rows; the dispatcher assigns each to the ordered
//! session or, as a job, to the worker pool, whose schedule decides what may run at the same time. What
//! fails is repaired or left out (`repair`, `remedy`, `omitted`).

mod advisory_lock;
mod database_name;
mod default_encoding;
mod definition;
mod dispatcher;
mod domain_rows;
mod incoming;
mod load_session;
mod name_patterns;
mod omitted;
mod ordered_session;
mod output_files;
mod parallel_load;
mod plan;
mod public_schema;
mod relations;
mod remedy;
mod repair;
mod retries;
mod row_queue;
mod rows;
mod schedule;
mod search_paths;
mod settings;
mod statement_reader;
mod statistics;
mod swap;
pub mod tenant;
mod worker;
mod worker_pool;

#[cfg(any(test, fuzzing))]
pub use relations::Relations;

use crate::client::Clients;
use crate::connections;
use crate::database_names::DatabaseNames;
use crate::database_state::{DatabaseState, Role};
use crate::dump_file::{DumpFile, Source};
use crate::gzip;
use crate::head::Needs;
use crate::inspect;
use crate::preflight::{self, Facts};
use crate::psql::{self, Server};
use crate::roles;
use advisory_lock::AdvisoryLock;
use anyhow::{Context, Result};
use bundle_format::report::LoadRecord;
use omitted::Omitted;
pub use output_files::OutputFiles;
use output_files::Statements;
use parallel_load::Loaded;
use pipe_kit::cleanup::Guard;
use pipe_kit::{Exit, info, warning};
use plan::LoadPlan;
use search_paths::SearchPaths;
use std::cell::Cell;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;

/// The options of `load`.
pub struct LoadOptions {
    /// The dump; `-` is standard input.
    pub file: PathBuf,
    /// Sessions that load at the same time.
    pub jobs: NonZero<usize>,
    /// Drop the old database before the new one is filled.
    pub drop_first: bool,
    /// Keep the old database as `<name>_previous`.
    pub keep_previous: bool,
    /// Leave out what is derived from rows, if it cannot be created.
    pub keep_going: bool,
    pub files: OutputFiles,
}

/// Replaces `PGDATABASE` by the dump. [`Exit::Incomplete`] if something was left out.
///
/// # Errors
/// [`pipe_kit::Stop::damaged`] if the dump is not whole or holds a psql command, [`pipe_kit::Stop::refused`] for
/// what preflight refuses. Up to the swap the old database is untouched, unless `drop_first` is set.
pub fn run(clients: &Clients, options: &LoadOptions) -> Result<Exit> {
    let names = DatabaseNames::of(psql::wanted_database()?);
    options.files.check(&options.file)?;
    let input = pipe_kit::input::open(&options.file)?;
    if options.drop_first {
        check_before_drop(options)?;
    }
    let mut text = gzip::text_of(input)?;
    if options.jobs.get() > 1 {
        text = Box::new(gzip::ReadAhead::new(text));
    }
    let DumpFile { needs, source } =
        DumpFile::read(&options.file, text).context("nothing was changed")?;
    let (server, _helper) = Server::connect_outside(clients, &names.database)?;
    let facts = preflight::check(clients, &server, &names, &needs, &options.replacement())?;
    // Only from here on: a session of the check that is still ending must not look like a killed load's.
    let server = server.naming_sessions(&names.incoming);
    let mut lock = AdvisoryLock::take(&server, &names.database)?;
    let old = server.oid_of(&names.database)?;
    let load = Load { server: Arc::new(server), names, facts, old, in_doubt: Cell::new(false) };
    load.run(&needs, source, &mut lock, options).with_context(|| load.failure(options))
}

impl LoadOptions {
    fn replacement(&self) -> preflight::Replacement<'_> {
        preflight::Replacement {
            file: &self.file,
            drop_first: self.drop_first,
            keep_previous: self.keep_previous,
            keep_going: self.keep_going,
        }
    }
}

/// `--drop-first` leaves nothing to fall back on, so the dump is checked first, if it can be read twice.
fn check_before_drop(options: &LoadOptions) -> Result<()> {
    if options.file.as_os_str() == "-" {
        warning!(
            "--drop-first from standard input: the dump cannot be checked before the old database is dropped"
        );
        return Ok(());
    }
    info!("checking the dump before anything is dropped");
    inspect::check(&options.file).context("nothing was dropped")
}

struct Load {
    server: Arc<Server>,
    names: DatabaseNames,
    facts: Facts,
    /// The oid of the database that will be replaced, if there is one.
    old: Option<u32>,
    /// Whether a statement that drops or renames the old database was sent.
    in_doubt: Cell<bool>,
}

impl Load {
    fn run(
        &self,
        needs: &Needs,
        source: Source,
        lock: &mut AdvisoryLock,
        options: &LoadOptions,
    ) -> Result<Exit> {
        let DatabaseNames { database, incoming, .. } = &self.names;
        let mut state = match &needs.state {
            Some(state) => state.clone(),
            None => self.state_without_header(needs)?,
        };
        self.remove_unknown_settings(&mut state);
        let incoming_guard = self.prepare_incoming(needs, &state, options)?;
        let paths = search_paths(&self.server, incoming, needs, &state)?;
        let plan = LoadPlan {
            database: incoming,
            jobs: connections::limit_jobs(
                options.jobs,
                connections::BESIDE_LOAD,
                self.facts.connections,
            ),
            paths: &paths,
            versions: &preflight::versions_to_create(needs, &self.facts, self.server.version.major),
            // With nothing to fall back on, all rows without some objects are better than none.
            keep_going: options.keep_going || self.old.is_none() || options.drop_first,
            knows_public_schema: state.known_public_schema().is_some(),
            same_name: needs.state.as_ref().is_none_or(|dumped| dumped.name == *database),
        };
        let Loaded { mut omitted, postponed } = parallel_load::load(&self.server, &plan, source)?;
        let again = self.to_evaluate_again(postponed);
        omitted.extend(self.left_of_public_schema(&state)?);
        self.execute_for_incoming(|name| state.apply_statements(name))?;
        lock.check()?;
        // Until the swap and what follows it are done, that is left out, too.
        let all = [&omitted[..], &again[..]].concat();
        let statements = options.files.write_omitted(database, &all)?;
        let oid = self.server.oid_of(incoming)?.context("the incoming database has disappeared")?;
        let record = LoadRecord { oid, left_out: all.len() };
        options.files.write_record(record)?;
        let keep = options.keep_previous || !omitted.is_empty();
        let mut swapped = self.swap(keep, omitted)?;
        incoming_guard.disarm();
        if !again.is_empty() {
            swapped = self.evaluate_again(&paths, again, swapped);
            options.files.correct(database, record, &statements, &swapped.omitted);
        }
        statements.warn(&swapped.omitted);
        self.finish_old(swapped.keep, swapped.old.as_deref())?;
        self.warn_of_roles_without_login(&needs.roles);
        Ok(self.outcome(&statements, &swapped.omitted))
    }

    /// Creates the database that is loaded, with all that must hold before its first row.
    fn prepare_incoming(
        &self,
        needs: &Needs,
        state: &DatabaseState,
        options: &LoadOptions,
    ) -> Result<Guard> {
        let DatabaseNames { database, incoming, outgoing, .. } = &self.names;
        self.server.drop_database(incoming)?;
        // Without a database of that name, it may be the only copy.
        if self.old.is_some() || options.drop_first {
            self.server.drop_database(outgoing)?;
        }
        let guard = self.create_incoming(state)?;
        self.create_roles(&preflight::roles_missing(needs, &self.facts))?;
        if state.owner != self.facts.me {
            self.execute_for_incoming(|name| state.owner_statement(name))?;
        }
        self.execute_for_incoming(|name| state.try_statements(name))?;
        // The meaning of rows, and what is derived from them, may depend on these.
        self.execute_for_incoming(|name| state.settings_before_rows(name))?;
        // Only now: what the new database cannot be given has failed by then.
        if options.drop_first {
            self.in_doubt.set(true);
            self.server.drop_database(database)?;
        }
        Ok(guard)
    }

    fn outcome(&self, statements: &Statements, omitted: &[Omitted]) -> Exit {
        if omitted.is_empty() {
            return Exit::Done;
        }
        let name = &self.names.database;
        let next = match statements {
            Statements::Written(path) => format!(
                "remove the causes, then: psql -X -v ON_ERROR_STOP=1 -d {} -f {}",
                shell_words::quote(name),
                shell_words::quote(&path.to_string_lossy())
            ),
            Statements::Nothing | Statements::NotWritten(_) => {
                "their statements are in the dump".into()
            }
        };
        warning!(
            "{name} has all rows; different from the dump: {}, named above; {next}",
            pipe_kit::text::count(omitted.len(), "object")
        );
        Exit::Incomplete
    }

    /// What a failed load has left, for its error.
    fn failure(&self, options: &LoadOptions) -> String {
        let name = &self.names.database;
        // Before it is touched, the old database's state is known even without the server.
        let now = if self.in_doubt.get() { self.server.oid_of(name).ok() } else { Some(self.old) };
        let state = match (self.old, now) {
            (None, Some(None)) => " (there was no such database before)",
            (old, Some(now)) if old == now && options.drop_first => {
                "; the old database was not dropped"
            }
            (old, Some(now)) if old == now => "; the old database is as it was",
            (_, Some(Some(_))) => return format!("{name} is loaded and in place"),
            (Some(_), Some(None)) => {
                " after the old database was dropped (--drop-first); remove the cause and load again"
            }
            (_, None) => {
                ", and it is not known whether the old database is still in place; run pg-snap \
                 status once the server answers"
            }
        };
        format!("loading {name} failed{state}")
    }

    /// For a dump without its database's state: that of the database it replaces, or the server's defaults
    /// with the encoding of the dump's text.
    fn state_without_header(&self, needs: &Needs) -> Result<DatabaseState> {
        let (server, name) = (&self.server, &self.names.database);
        if let Some(state) = DatabaseState::read(server, name)? {
            if let Some(other) = preflight::other_encoding(name, needs, &self.facts) {
                warning!("{other}");
            }
            return Ok(state);
        }
        let template = DatabaseState::read(server, "template1")?.context("no template1")?;
        let encoding = default_encoding::choose(&template, needs.encoding.as_deref());
        if let Some(text) = needs.encoding.as_ref().filter(|text| *text != encoding) {
            warning!(
                "the dump's text is in {text}, which does not fit the locale {} of template1: database {name} is \
                 created in {encoding}",
                template.ctype
            );
        }
        Ok(DatabaseState {
            owner: self.facts.me.clone(),
            encoding: encoding.to_owned(),
            connection_limit: -1,
            comment: None,
            grants: None,
            settings: Vec::new(),
            roles: Vec::new(),
            ..template
        })
    }

    fn remove_unknown_settings(&self, state: &mut DatabaseState) {
        let unknown = self.facts.unknown_settings();
        for name in &unknown {
            warning!("{}", preflight::unknown_setting(name, self.server.version));
        }
        state.settings.retain(|setting| !unknown.contains(&setting.name.as_str()));
    }

    /// Creates the roles that the dump names and the server lacks.
    fn create_roles(&self, roles: &[&Role]) -> Result<()> {
        let (facts, major) = (&self.facts, self.server.version.major);
        for role in roles {
            info!("role {} does not exist here; creating it without login", role.name);
            self.execute_for_incoming(|_| {
                roles::create_statements(role, roles::ME, facts.superuser, major)
            })?;
        }
        Ok(())
    }

    /// Executes statements about roles or about the incoming database, which are given its name. The server keeps
    /// names and values as bytes, without an encoding: those outside ASCII must come from a session of the database
    /// that will read them.
    fn execute_for_incoming(&self, statements: impl Fn(&str) -> String) -> Result<()> {
        let (server, incoming) = (&self.server, &self.names.incoming);
        let sql = statements(incoming);
        if sql.is_ascii() {
            return server.execute(&server.maintenance, &sql);
        }
        let name = server.query(incoming, "SELECT pg_catalog.current_database()")?;
        server.execute(incoming, &statements(name.trim_end_matches('\n')))
    }

    /// Warns of roles that were created without login, by this load or by one that failed before it.
    fn warn_of_roles_without_login(&self, roles: &[Role]) {
        for role in preflight::without_login(roles, &self.facts) {
            warning!(
                "role {0} could log in where the dump was made, and is NOLOGIN here; to enable its login, in psql: {1}",
                role.name,
                roles::login_statements(&role.name)
            );
        }
    }
}

/// The search paths of a load. If the dump does not name its source's, it is that of the database that it is loaded
/// into.
fn search_paths(
    server: &Server,
    database: &str,
    needs: &Needs,
    state: &DatabaseState,
) -> Result<SearchPaths> {
    let of_dump = needs.state.as_ref().and_then(DatabaseState::known_search_path);
    let path = match of_dump.or_else(|| state.known_search_path()) {
        Some(path) => path.to_owned(),
        // No other setting may be made before it.
        None => server.query_only(database, "select pg_catalog.current_setting('search_path')")?,
    };
    Ok(SearchPaths {
        source: state.search_path_elements(path.trim()),
        is_of_dump: of_dump.is_some(),
        operator_schemas: state.operator_schemas(),
        server_major: server.version.major,
    })
}
