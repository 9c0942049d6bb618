//! What happens after a statement of the dump, or rows, have failed: the alternatives that may help are
//! tried, each in a session of its own; with --keep-going, what is derived from rows is left out.

use super::definition::{Definition, ObjectName};
use super::load_session::LoadSession;
use super::omitted::{Omission, Omitted};
use super::remedy::{self, Alternative, RetryContext, RowAlternative};
use super::search_paths::{SearchPaths, rows_of};
use super::settings::SessionSettings;
use crate::psql::Server;
use crate::server_error::ServerError;
use crate::sql::{Name, properties, with_values};
use anyhow::{Context, Error, Result, anyhow};
use pipe_kit::{info, warning};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// What all sessions of a load share, to open new ones and to record what was left out.
pub struct Repair<'a> {
    pub server: &'a Server,
    pub database: &'a str,
    /// The settings that every session begins with.
    pub begin: &'a str,
    pub paths: &'a SearchPaths,
    /// Whether objects may be left out.
    pub keep_going: bool,
    omitted: Mutex<Vec<Omitted>>,
    /// Constraints that were dropped for rows that violate them, with the statements of their comments.
    dropped: Mutex<Vec<(Definition, Option<String>)>>,
    /// What has failed at first.
    failed: Mutex<HashSet<String>>,
    /// Held while functions or roles are changed for a statement: two alternatives might change the same one.
    changing: Mutex<()>,
}

impl<'a> Repair<'a> {
    pub fn new(
        server: &'a Server,
        database: &'a str,
        begin: &'a str,
        paths: &'a SearchPaths,
        keep_going: bool,
    ) -> Self {
        let (omitted, dropped) = (Mutex::default(), Mutex::default());
        let (failed, changing) = (Mutex::default(), Mutex::default());
        Self { server, database, begin, paths, keep_going, omitted, dropped, failed, changing }
    }

    /// Opens a session with these settings of the dump.
    pub fn open(&self, settings: &SessionSettings) -> Result<LoadSession> {
        let mut session = LoadSession::open(self.server, self.database, self.begin)?;
        session.send(&settings.to_sql())?;
        Ok(session)
    }

    /// The text that executes a statement at first.
    pub fn script<'b>(&self, definition: &'b Definition) -> Cow<'b, [u8]> {
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

    /// Executes a failed statement in another way, or leaves it out.
    ///
    /// # Errors
    /// If nothing helps, with the object, its statement and what to do.
    pub fn repair(&self, definition: &Definition, failure: ServerError) -> Result<()> {
        self.record_failed(definition.what());
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
        RetryContext { paths, schema: definition.schema(), keep_going }
    }

    fn attempt(
        &self,
        definition: &Definition,
        alternative: &Alternative,
    ) -> Result<Result<(), ServerError>> {
        let changes =
            matches!(alternative, Alternative::FunctionsUnder(_) | Alternative::WithSuperuser(_));
        let _alone = changes.then(|| self.changing.lock().unwrap_or_else(PoisonError::into_inner));
        let mut session = self.open(&definition.settings)?;
        let script = alternative.script(definition);
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
            Alternative::AsWritten if definition.calls => info!(
                "{} is created under the search path of the dump after all: {}",
                definition.what(),
                failure.brief()
            ),
            Alternative::Again | Alternative::AsWritten => {}
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
            if let Err(failure) = self.attempt_first(&definition)? {
                self.repair(&definition, failure)?;
            }
        }
        Ok(())
    }

    /// Records an omitted object.
    fn omit(&self, omission: Omission, definition: &Definition, failure: ServerError) {
        let failure = without_secrets(definition, failure);
        let definition = definition.clone();
        let omitted = Omitted { omission, definition, failure };
        warning!("{omitted}");
        self.lock().push(omitted);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Omitted>> {
        self.omitted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The error that the load ends with after a statement that nothing helped.
    pub fn error(&self, definition: &Definition, failure: ServerError) -> Error {
        let failure = without_secrets(definition, failure);
        let state = failure.sqlstate().map(str::to_owned);
        let omit = failure.is_of_a_statement() && properties::may_be_omitted(&definition.text);
        let advice = remedy::advice(state.as_deref(), omit && !self.keep_going);
        let what = definition.what();
        let line = definition.first_line();
        Error::new(failure.with_remedy(&advice))
            .context(format!("{what}: statement '{line}' failed"))
    }

    /// Tries omitted objects once more: one may have needed an object that came after it.
    pub fn retry_omitted(&self) -> Result<()> {
        let mut before = std::mem::take(&mut *self.lock());
        before.sort_by_key(|omitted| omitted.definition.number);
        for omitted in before {
            // A statement that drops something would drop what the dump has created since.
            let retry = omitted.omission == Omission::LeftOut
                && !properties::drops(&omitted.definition.text);
            if retry && self.attempt_again(&omitted)? {
                info!("{} is created after all", omitted.definition.what());
            } else {
                self.lock().push(omitted);
            }
        }
        Ok(())
    }

    fn attempt_first(&self, definition: &Definition) -> Result<Result<(), ServerError>> {
        let mut session = self.open(&definition.settings)?;
        let done = session.send(&self.script(definition)).and_then(|()| session.sync());
        failure_of(done.map(drop))
    }

    /// Tries a statement as at first, then under the search paths that may help.
    fn attempt_again(&self, omitted: &Omitted) -> Result<bool> {
        let definition = &omitted.definition;
        if self.attempt_first(definition)?.is_ok() {
            return Ok(true);
        }
        for alternative in
            remedy::alternatives(definition, &omitted.failure, &self.context(definition))
        {
            if alternative.is_of_paths() && self.attempt(definition, &alternative)?.is_ok() {
                return Ok(true);
            }
        }
        Ok(false)
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
        let what = format!("{}.{}", table.0, table.1).replace(char::is_control, "?");
        self.record_failed(rows_of(table));
        let mut last = failure.clone();
        let mut violates = remedy::is_violation(&failure);
        let first = settings.other_path();
        let mut alternatives = remedy::alternatives_for_rows(&failure, self.paths, first, &table.0);
        alternatives.extend(self.keep_going.then_some(RowAlternative::WithoutChecks));
        for alternative in alternatives {
            let settings = match &alternative {
                RowAlternative::AsWritten => &settings.under(None),
                RowAlternative::SearchPath(path) => &settings.under(Some(path.clone())),
                RowAlternative::WithoutChecks if violates => {
                    self.drop_checks(table)?;
                    settings
                }
                RowAlternative::WithoutChecks => break,
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
                    violates |= remedy::is_violation(&other);
                    last = other;
                }
            }
        }
        Err(self.rows_error(&what, remedy::more_informative(failure, last)))
    }

    /// The error that the load ends with after rows that nothing helped.
    pub fn rows_error(&self, table: &str, failure: ServerError) -> Error {
        let advice =
            remedy::advice(failure.sqlstate(), !self.keep_going && remedy::is_violation(&failure));
        Error::new(failure.with_remedy(&advice))
            .context(format!("table data {table}: statement 'COPY {table}' failed"))
    }

    /// Drops the checks of a table and of its columns' domains, which its rows violate; they are added again
    /// after all rows. If another worker was faster, there are none.
    fn drop_checks(&self, table: &Name) -> Result<()> {
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        let values = [("schema", table.0.as_str()), ("table", table.1.as_str())];
        let query = with_values(include_str!("repair/checks_of_table.sql"), &values);
        let answer = self.server.query(self.database, &query)?;
        let constraints: Vec<CheckConstraint> =
            serde_json::from_str(&answer).context("listing the constraints of a table")?;
        let settings = Arc::new(SessionSettings::for_definitions());
        for constraint in constraints {
            let mut session = self.open(&settings)?;
            session.send(constraint.drop.as_bytes())?;
            session.sync()?;
            let object = ObjectName::new("check constraint", &table.1, &table.0);
            let definition = Definition {
                number: u64::MAX,
                object: Some(Arc::new(object)),
                text: constraint.add.into_bytes(),
                settings: Arc::clone(&settings),
                calls: false,
            };
            dropped.push((definition, constraint.comment));
        }
        Ok(())
    }

    /// Adds the dropped constraints again, for new rows at least.
    pub fn restore_constraints(&self) -> Result<()> {
        let dropped =
            std::mem::take(&mut *self.dropped.lock().unwrap_or_else(PoisonError::into_inner));
        for (definition, comment) in dropped {
            if let Err(failure) = self.attempt_first(&definition)? {
                self.repair(&definition, failure)?;
            }
            if let Some(comment) = comment {
                let comment = Definition { text: comment.into_bytes(), ..definition };
                if let Err(failure) = self.attempt_first(&comment)? {
                    self.repair(&comment, failure)?;
                }
            }
        }
        Ok(())
    }

    /// The omitted objects, in the order of the dump.
    pub fn into_omitted(self) -> Vec<Omitted> {
        let mut omitted = self.omitted.into_inner().unwrap_or_else(PoisonError::into_inner);
        omitted.sort_by_key(|omitted| omitted.definition.number);
        omitted
    }
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

/// The statements that drop a constraint, add it again, and give it its comment back.
#[derive(Deserialize)]
struct CheckConstraint {
    drop: String,
    add: String,
    comment: Option<String>,
}
