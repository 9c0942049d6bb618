//! What happens after a statement of the dump, or rows, have failed: the alternatives that may help are
//! tried, each in a session of its own. What other statements may mend is put aside until then; with --keep-going, what is
//! derived from rows is left out.

use super::definition::Definition;
use super::load_session::LoadSession;
use super::omitted::{Omission, Omitted};
use super::plan::LoadPlan;
use super::remedy::{self, Alternative, RetryContext, RowAlternative};
use super::retries;
use super::search_paths::{SearchPaths, rows_of};
use super::settings::SessionSettings;
use crate::psql::Server;
use crate::server_error::ServerError;
use crate::sql::{Name, properties};
use anyhow::{Error, Result, anyhow};
use pipe_kit::{info, warning};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

mod again;
mod checks;
mod default_version;
mod extension_versions;
mod older_server;
mod postponed;

/// Stands between a failure and what was put aside before it.
const PERHAPS: &str = "it may lack what has failed before it";

/// What all sessions of a load share, to open new ones and to record what was left out.
pub struct Repair<'a> {
    pub server: &'a Server,
    pub database: &'a str,
    /// The settings that every session begins with.
    pub begin: &'a str,
    pub paths: &'a SearchPaths,
    /// Of extensions that are not created in the server's default one.
    versions: &'a BTreeMap<String, String>,
    /// Whether objects may be left out.
    pub keep_going: bool,
    /// Whether the database gets the name that it had where it was dumped.
    same_name: bool,
    /// Whether the load itself reports what the schema public lacks.
    knows_public_schema: bool,
    /// Left out or, where nothing may be, put aside until the end.
    omitted: Mutex<Vec<Omitted>>,
    /// Constraints that were dropped for rows that violate them.
    dropped: Mutex<Vec<DroppedCheck>>,
    /// What waits until the database has its name: what has added checks as not valid, and what rows do not fit before.
    postponed: Mutex<Vec<Definition>>,
    /// What has failed at first.
    failed: Mutex<HashSet<String>>,
    /// Held while functions or roles are changed for a statement: two alternatives might change the same one.
    changing: Mutex<()>,
}

/// A check that was dropped.
struct DroppedCheck {
    /// The statement that adds it again.
    definition: Definition,
    comment: Option<String>,
    reads_name: bool,
    /// The table whose rows violate it, and how they have failed.
    table: String,
    failure: ServerError,
}

impl<'a> Repair<'a> {
    pub fn new(server: &'a Server, begin: &'a str, plan: &LoadPlan<'a>) -> Self {
        let LoadPlan {
            database, paths, versions, keep_going, same_name, knows_public_schema, ..
        } = *plan;
        Self {
            server,
            database,
            begin,
            paths,
            versions,
            keep_going,
            same_name,
            knows_public_schema,
            omitted: Mutex::default(),
            dropped: Mutex::default(),
            postponed: Mutex::default(),
            failed: Mutex::default(),
            changing: Mutex::default(),
        }
    }

    /// Opens a session with these settings of the dump.
    pub fn open(&self, settings: &SessionSettings) -> Result<LoadSession> {
        let mut session = LoadSession::open(self.server, self.database, self.begin)?;
        session.send(&settings.to_sql())?;
        Ok(session)
    }

    /// The text that executes a statement at first.
    pub fn script<'b>(&self, definition: &'b Definition) -> Cow<'b, [u8]> {
        if let Some(versioned) = extension_versions::with_version(&definition.text, self.versions) {
            return versioned.into();
        }
        let script = self.paths.first_script(definition);
        match script.again.is_empty() {
            true => script.text(),
            false => [b"BEGIN;\n", &*script.text(), b"COMMIT;\n"].concat().into(),
        }
    }

    /// What becomes of a statement that was run: true if it succeeded; false if it failed, and its session
    /// with it, but was executed in another way or left out.
    ///
    /// # Errors
    /// As [`Repair::repair`]; if the session or the server has failed.
    pub fn outcome<T>(&self, definition: &Definition, result: Result<T>) -> Result<bool> {
        let Err(error) = result else { return Ok(true) };
        let failure = error.downcast::<ServerError>()?;
        if !failure.is_of_a_statement() {
            return Err(self.error(definition, failure));
        }
        self.repair(definition, failure).map(|()| false)
    }

    /// Executes a failed statement in another way, puts it aside, or leaves it out.
    ///
    /// # Errors
    /// If nothing helps, with the object, its statement and what to do.
    pub fn repair(&self, definition: &Definition, failure: ServerError) -> Result<()> {
        self.record_failed(definition.what());
        let (sql, major) = (&definition.text, self.server.version.major);
        if older_server::is_about_older_server(sql, &failure, major) {
            warning!(
                "{} is left out, because PostgreSQL {major} does not have what it is about: {}",
                definition.what(),
                failure.brief()
            );
            return Ok(());
        }
        if self.knows_public_schema && older_server::is_of_public(sql, &failure, major) {
            info!("{} stays as it is: {}", definition.what(), failure.brief());
            return Ok(());
        }
        if self.create_in_default_version(definition, &failure)?
            || self.postpone(definition, &failure)?
        {
            return Ok(());
        }
        let mut last = failure.clone();
        for alternative in remedy::alternatives(definition, &failure, &self.context(definition)) {
            match self.attempt(definition, &alternative)? {
                Ok(()) => return self.report(definition, &alternative, failure),
                Err(other) => last = other,
            }
        }
        let failure = remedy::more_informative(failure, last);
        if self.keep_going && properties::may_be_omitted(&definition.text) {
            self.omit(Omission::LeftOut, definition, failure);
            return Ok(());
        }
        if !self.keep_going && retries::may_be_put_aside(&definition.text, &failure) {
            let Omitted { definition, failure, .. } =
                self.put_aside(Omission::LeftOut, definition, failure);
            info!("{} failed, and is tried again later: {}", definition.what(), failure.brief());
            return Ok(());
        }
        Err(self.error(definition, failure))
    }

    fn record_failed(&self, what: String) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).insert(what);
    }

    /// Whether it has failed at first.
    pub fn has_failed(&self, what: &str) -> bool {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).contains(what)
    }

    fn context<'b>(&'b self, definition: &'b Definition) -> RetryContext<'b> {
        let (paths, keep_going) = (self.paths, self.keep_going);
        RetryContext { paths, schema: definition.schema(), keep_going, has_rights: false }
    }

    fn attempt(
        &self,
        definition: &Definition,
        alternative: &Alternative,
    ) -> Result<Result<(), ServerError>> {
        let changes = matches!(
            alternative,
            Alternative::FunctionsUnder(_)
                | Alternative::WithSuperuser(_)
                | Alternative::WithRightToCreate { .. }
        );
        let _alone = changes.then(|| self.changing.lock().unwrap_or_else(PoisonError::into_inner));
        let mut session = self.open(&definition.settings)?;
        let script = match alternative {
            Alternative::Again => self.script(definition).into_owned(),
            other => other.script(definition),
        };
        let done = session.send(&script).and_then(|()| session.sync());
        failure_of(done.map(drop))
    }

    fn report(
        &self,
        definition: &Definition,
        alternative: &Alternative,
        failure: ServerError,
    ) -> Result<()> {
        match alternative {
            Alternative::SearchPath(path)
            | Alternative::OperatorsUnder(path)
            | Alternative::FunctionsUnder(path) => info!(
                "{} is created under the search path {path}: {}",
                definition.what(),
                failure.brief()
            ),
            Alternative::WithSuperuser(role) => info!(
                "{}: role {} owns it and is no superuser: it was one for this statement alone",
                definition.what(),
                role.replace(char::is_control, "?")
            ),
            Alternative::WithRightToCreate { role, .. } => info!(
                "{}: role {} owns it and may not create in its schema: it might for this statement alone",
                definition.what(),
                role.replace(char::is_control, "?")
            ),
            Alternative::AsWritten if definition.calls => info!(
                "{} is created under the search path of the dump after all: {}",
                definition.what(),
                failure.brief()
            ),
            Alternative::Again | Alternative::AsWritten | Alternative::UnderPolicies => {}
            Alternative::NotValid => self.omit(Omission::NotValid, definition, failure),
            Alternative::Reduced(reduced) => return self.add_parts(definition, &reduced.parts),
        }
        Ok(())
    }

    /// Adds the clauses that a table was created without, each alone.
    fn add_parts(&self, definition: &Definition, parts: &[String]) -> Result<()> {
        for part in parts {
            let mut definition = definition.clone();
            definition.text = part.clone().into_bytes();
            // It may come after the rows.
            definition.calls = true;
            if let Err(failure) = self.attempt_as_is(&definition)? {
                self.repair(&definition, failure)?;
            }
        }
        Ok(())
    }

    /// Records an omitted object.
    fn omit(&self, omission: Omission, definition: &Definition, failure: ServerError) {
        warning!("{}", self.put_aside(omission, definition, failure));
    }

    fn put_aside(
        &self,
        omission: Omission,
        definition: &Definition,
        failure: ServerError,
    ) -> Omitted {
        let failure = without_secrets(definition, failure);
        let omitted = Omitted { omission, definition: definition.clone(), failure };
        self.lock().push(omitted.clone());
        omitted
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Omitted>> {
        self.omitted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The error that the load ends with after a statement that nothing helped.
    pub fn error(&self, definition: &Definition, failure: ServerError) -> Error {
        match self.cause_of(&failure) {
            Some(cause) => {
                let failure = without_secrets(definition, failure);
                let (what, line) = (definition.what(), definition.first_line());
                cause.context(format!("{what}: statement '{line}' failed: {failure}; {PERHAPS}"))
            }
            None => self.error_of(definition, failure),
        }
    }

    fn error_of(&self, definition: &Definition, failure: ServerError) -> Error {
        let failure = without_secrets(definition, failure);
        let state = failure.sqlstate().map(str::to_owned);
        let omit = failure.is_of_a_statement() && properties::may_be_omitted(&definition.text);
        let advice = remedy::advice(state.as_deref(), omit && !self.keep_going);
        let what = definition.what();
        let line = definition.first_line();
        Error::new(failure.with_remedy(&advice))
            .context(format!("{what}: statement '{line}' failed"))
    }

    /// Copies rows that have failed in another way, each time in a session of its own; returns the session
    /// that succeeded.
    ///
    /// # Errors
    /// If nothing helps, with the table and what to do.
    pub fn rows(
        &self,
        table: &Name,
        failure: ServerError,
        settings: &SessionSettings,
        copy: impl Fn(&mut LoadSession) -> Result<()>,
    ) -> Result<LoadSession> {
        let what = table_name(table);
        self.record_failed(rows_of(table));
        let mut last = failure.clone();
        let mut violation = Some(failure.clone()).filter(remedy::is_violation);
        let first = settings.other_path();
        let mut alternatives = remedy::alternatives_for_rows(&failure, self.paths, first, &table.0);
        alternatives.push(RowAlternative::WithoutChecks);
        for alternative in alternatives {
            let settings = match &alternative {
                RowAlternative::AsWritten => &settings.under(None),
                RowAlternative::SearchPath(path) => &settings.under(Some(path.clone())),
                RowAlternative::WithoutChecks => match &violation {
                    Some(violation) if self.drop_checks(table, violation)? => settings,
                    _ => break,
                },
            };
            let mut session = self.open(settings)?;
            match failure_of(copy(&mut session))? {
                Ok(()) => {
                    let path = match &alternative {
                        RowAlternative::SearchPath(path) => path,
                        RowAlternative::AsWritten => "of the dump after all",
                        RowAlternative::WithoutChecks => return Ok(session),
                    };
                    let why = failure.brief();
                    info!("rows of table {what} are loaded under the search path {path}: {why}");
                    return Ok(session);
                }
                Err(other) => {
                    violation =
                        violation.or_else(|| Some(other.clone()).filter(remedy::is_violation));
                    last = other;
                }
            }
        }
        Err(self.rows_error(&what, remedy::more_informative(failure, last)))
    }

    /// The error that the load ends with after rows that nothing helped.
    pub fn rows_error(&self, table: &str, failure: ServerError) -> Error {
        if let Some(cause) = self.cause_of(&failure) {
            return cause.context(format!("table data {table}: {failure}; {PERHAPS}"));
        }
        let advice =
            remedy::advice(failure.sqlstate(), !self.keep_going && remedy::is_violation(&failure));
        Error::new(failure.with_remedy(&advice))
            .context(format!("table data {table}: statement 'COPY {table}' failed"))
    }

    /// The omitted objects, in the order of the dump, and what waits until the database has its name.
    pub fn into_parts(self) -> (Vec<Omitted>, Vec<Definition>) {
        let mut omitted = self.omitted.into_inner().unwrap_or_else(PoisonError::into_inner);
        omitted.sort_by_key(|omitted| omitted.definition.number);
        let mut postponed = self.postponed.into_inner().unwrap_or_else(PoisonError::into_inner);
        postponed.sort_by_key(|definition| definition.number);
        (omitted, postponed)
    }
}

fn table_name(table: &Name) -> String {
    format!("{}.{}", table.0, table.1).replace(char::is_control, "?")
}

/// The server's message may quote a password of the statement.
fn without_secrets(definition: &Definition, failure: ServerError) -> ServerError {
    if properties::may_hold_password(&definition.text) { failure.only_code() } else { failure }
}

/// Separates the failure of a statement from that of its session.
pub fn failure_of<T>(result: Result<T>) -> Result<Result<T, ServerError>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) => match error.downcast::<ServerError>() {
            Ok(failure) if failure.is_of_a_statement() => Ok(Err(failure)),
            Ok(failure) => Err(anyhow!(failure)),
            Err(error) => Err(error),
        },
    }
}
