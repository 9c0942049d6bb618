//! `pg-snap load`: a dump into a fresh database beside the old one, then the names swapped.
//!
//! Until the swap the old database serves, and whatever fails leaves it as it was. The swap is one
//! transaction, and comes only after the dump was seen to be whole.

mod feed;
mod names;

pub use feed::reading;
pub use names::{Names, is_beside, is_kept, previous_of};

use crate::client::Clients;
use crate::database_state::{DatabaseState, Role};
use crate::gzip;
use crate::head::Head;
use crate::inspect;
use crate::lines::Blocks;
use crate::preflight::{self, Facts};
use crate::psql::{self, Server};
use crate::roles;
use crate::sql::{beside, ident};
use anyhow::{Context, Result};
use pipe_kit::cleanup::{self, Guard};
use pipe_kit::{say, warning};
use std::io::Read;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;

/// What `load` is told.
pub struct Options {
    /// The dump; `-` is standard input.
    pub file: PathBuf,
    /// Threads: with more than one, inflating runs beside the load.
    pub jobs: NonZero<usize>,
    /// Drop the old database before the new one is made.
    pub drop_first: bool,
    /// Keep the old database as `<name>_previous`.
    pub keep_previous: bool,
}

/// Replaces `PGDATABASE` by the dump.
///
/// # Errors
/// [`Stop::damaged`] if the dump is not whole or holds a psql command, [`Stop::refused`] for
/// what preflight would refuse, else what PostgreSQL says. Up to the swap the old database is untouched,
/// unless `drop_first` was asked for.
pub fn run(clients: &Clients, options: &Options) -> Result<()> {
    let names = Names::of(psql::wanted_database()?);
    let input = pipe_kit::input::open(&options.file)?;
    if options.drop_first {
        check_before_drop(options)?;
    }
    let mut text = gzip::text_of(input)?;
    if options.jobs.get() > 1 {
        text = Box::new(gzip::ReadAhead::new(text));
    }
    let mut blocks = Blocks::new(text);
    let head = Head::read(&mut blocks).context("nothing was changed")?;
    let server = Arc::new(Server::connect(clients, &names.database)?);
    let facts = preflight::check(clients, &server, &names, &head.needs, options)?;
    let load = Load { server, names, facts };
    load.run(&head, &mut blocks, options).with_context(|| load.state_of_things(options))
}

/// `--drop-first` leaves nothing to fall back on, so a dump that can be read twice is.
fn check_before_drop(options: &Options) -> Result<()> {
    if options.file.as_os_str() == "-" {
        warning!(
            "--drop-first from standard input: the dump cannot be checked before the old database is dropped"
        );
        return Ok(());
    }
    say!("checking the dump before anything is dropped");
    inspect::check(&options.file).context("nothing was dropped")
}

struct Load {
    server: Arc<Server>,
    names: Names,
    facts: Facts,
}

impl Load {
    fn run<R: Read>(&self, head: &Head, blocks: &mut Blocks<R>, options: &Options) -> Result<()> {
        let Names { database, incoming, outgoing, .. } = &self.names;
        let missing = preflight::roles_missing(&head.needs, &self.facts);
        self.create_roles(&missing)?;
        let state = match &head.needs.state {
            Some(state) => state.clone(),
            None => self.state_without_header()?,
        };
        self.server.drop_database(incoming)?;
        self.server.drop_database(outgoing)?;
        if options.drop_first {
            self.server.drop_database(database)?;
        }
        let half = self.create_incoming(&state)?;
        feed::feed(&self.server, incoming, &head.bytes, blocks)?;
        self.server.execute(&self.server.maintenance, &state.apply_statements(incoming))?;
        let kept = self.swap(options)?;
        half.disarm();
        self.farewell(options, kept.as_deref())?;
        for role in missing.iter().filter(|role| role.login) {
            warning!(
                "role {} did not exist here and could log in where the dump was made; it was created NOLOGIN \
                 and needs a password; to let it in, in psql: {}",
                role.name,
                roles::login_statements(&role.name)
            );
        }
        Ok(())
    }

    /// What an operator must know beside the error.
    fn state_of_things(&self, options: &Options) -> String {
        let name = &self.names.database;
        if self.facts.database.is_none() {
            return format!("loading {name} failed (there was no such database before)");
        }
        if !options.drop_first {
            return format!("loading {name} failed; the old database is as it was");
        }
        match self.server.has_database(name) {
            Ok(true) => format!("loading {name} failed; the old database was not dropped"),
            Ok(false) => format!(
                "loading {name} failed after the old database was dropped (--drop-first); mend the cause and load again"
            ),
            Err(_) => format!(
                "loading {name} failed, and whether the old database is still there is not known"
            ),
        }
    }

    /// For a dump that does not carry its database's state: that of the database it replaces, or
    /// what the server gives a new one.
    fn state_without_header(&self) -> Result<DatabaseState> {
        if let Some(state) = DatabaseState::read(&self.server, &self.names.database)? {
            return Ok(state);
        }
        let server = &self.server;
        let template = DatabaseState::read(server, "template1")?.context("no template1")?;
        Ok(DatabaseState {
            owner: self.facts.me.clone(),
            connection_limit: -1,
            comment: None,
            grants: None,
            settings: Vec::new(),
            roles: Vec::new(),
            ..template
        })
    }

    /// Creates the roles that the dump names and the server lacks.
    fn create_roles(&self, roles: &[&Role]) -> Result<()> {
        let (facts, major) = (&self.facts, self.server.version.major);
        for role in roles {
            say!("role {} does not exist here; creating it without login", role.name);
            let create = roles::create_statements(role, &facts.me, facts.superuser, major);
            self.server.execute(&self.server.maintenance, &create)?;
        }
        Ok(())
    }

    fn create_incoming(&self, state: &DatabaseState) -> Result<Guard> {
        let (server, incoming) = (Arc::clone(&self.server), self.names.incoming.clone());
        // Armed before the database is there: a signal may come while it is being made.
        let half = cleanup::on_failure(move || {
            if let Err(error) = server.drop_database(&incoming) {
                warning!("the half-loaded database {incoming} is still there: {error:#}");
            }
        });
        let spaces = &self.facts.tablespaces;
        let create =
            state.create_statement(&self.names.incoming, self.server.version.major, |name| {
                spaces.contains_key(name)
            });
        self.server.execute(&self.server.maintenance, &create)?;
        Ok(half)
    }

    /// Swaps the names; gives the name the old database has now, if there was one.
    fn swap(&self, options: &Options) -> Result<Option<String>> {
        let Names { database, incoming, outgoing, previous, .. } = &self.names;
        let mut renames = Vec::new();
        let mut kept = None;
        if self.server.has_database(database)? {
            let old = if options.keep_previous { previous } else { outgoing };
            if options.keep_previous && self.server.has_database(previous)? {
                renames.push((previous.clone(), self.set_aside(previous)?));
            }
            renames.push((database.clone(), old.clone()));
            kept = Some(old.clone());
        }
        renames.push((incoming.clone(), database.clone()));
        rename(&self.server, &renames)?;
        Ok(kept)
    }

    /// A previous database from an earlier load may be somebody's only copy: it gets another name.
    fn set_aside(&self, previous: &str) -> Result<String> {
        let now = self.server.query(
            &self.server.maintenance,
            "select pg_catalog.to_char(pg_catalog.now() at time zone 'UTC', '_YYYYMMDD\"T\"HH24MISS\"Z\"')",
        )?;
        let name = beside(previous, now.trim());
        warning!(
            "there was a database {previous} already; it is kept as {name}; drop it when you are sure"
        );
        Ok(name)
    }

    fn farewell(&self, options: &Options, old: Option<&str>) -> Result<()> {
        let name = &self.names.database;
        match old {
            Some(old) if options.keep_previous => {
                say!("{name} is loaded; the old database is kept as {old}");
                Ok(())
            }
            Some(old) => self.server.drop_database(old).with_context(|| {
                format!(
                    "{name} is loaded and in place, but the old database is still there as {old}"
                )
            }),
            None => Ok(()),
        }
    }
}

/// Renames databases in one transaction, ending the sessions that hold them.
///
/// # Errors
/// If the server refuses, or sessions come back faster than they are ended; nothing is renamed then.
pub fn rename(server: &Server, renames: &[(String, String)]) -> Result<()> {
    let names: Vec<&str> = renames.iter().map(|(from, _)| from.as_str()).collect();
    let mut script = String::from("BEGIN;\n");
    for (from, to) in renames {
        script += &format!("ALTER DATABASE {} RENAME TO {};\n", ident(from), ident(to));
    }
    script += "COMMIT;\n";
    server.without_sessions(&names, &script).context("swapping the databases' names")
}
