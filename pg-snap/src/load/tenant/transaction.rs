//! The statements of the transaction that loads a schema.
//!
//! They are sent in batches, each after a savepoint. After a statement that fails, the server refuses the
//! rest of its batch. If the statement can be executed in another way, the transaction continues from the
//! savepoint: what came before the statement, the statement that way, the rest.

use crate::load::definition::Definition;
use crate::load::load_session::LoadSession;
use crate::load::remedy::{self, Alternative, RetryContext};
use crate::load::search_paths::SearchPaths;
use crate::random_token::random_token;
use crate::server_error::ServerError;
use crate::sql::properties;
use anyhow::{Error, Result};
use pipe_kit::info;
use std::collections::HashSet;

/// The statements of a batch, and their bytes.
const BATCH: (usize, usize) = (256, 1 << 20);

/// The transaction in a session that has begun it.
pub struct Transaction<'a> {
    session: &'a mut LoadSession,
    context: RetryContext<'a>,
    savepoint: String,
    /// The statements since the savepoint.
    batch: Vec<Definition>,
    /// What has failed at first.
    failed: HashSet<String>,
    bytes: usize,
}

impl<'a> Transaction<'a> {
    pub fn new(session: &'a mut LoadSession, context: RetryContext<'a>) -> Result<Self> {
        // No statement of the dump can name it.
        let savepoint = format!("pg_snap_{}", random_token()?);
        Ok(Self {
            session,
            context,
            savepoint,
            batch: Vec::new(),
            failed: HashSet::new(),
            bytes: 0,
        })
    }

    /// Whether it has failed at first.
    pub fn has_failed(&self, what: &str) -> bool {
        self.failed.contains(what)
    }

    pub fn paths(&self) -> &'a SearchPaths {
        self.context.paths
    }

    /// Runs a statement after all before it, without waiting for its end.
    ///
    /// # Errors
    /// If this statement or one before it fails, and no alternative helps.
    pub fn run(&mut self, definition: Definition) -> Result<()> {
        if self.batch.is_empty() {
            self.set_savepoint()?;
        }
        self.bytes += definition.text.len();
        self.batch.push(definition);
        self.send_from(self.batch.len() - 1)?;
        if self.batch.len() >= BATCH.0 || self.bytes >= BATCH.1 { self.settle() } else { Ok(()) }
    }

    /// Waits until all statements are done; from then on, psql ends at an error.
    ///
    /// # Errors
    /// As [`Transaction::run`].
    pub fn settle(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        while let Some((number, state)) = self.session.settle()? {
            let number = usize::try_from(number)?;
            let rest = self.batch.split_off((number + 1).min(self.batch.len()));
            let Some(failed) = self.batch.pop() else { return Err(self.session.reason()) };
            self.repair(&failed, &ServerError::of_state(&state))?;
            self.batch = rest;
            self.set_savepoint()?;
            self.send_from(0)?;
        }
        self.batch.clear();
        self.bytes = 0;
        self.release()
    }

    /// The session, for rows and for what no alternative would help: psql ends at an error.
    pub fn settled_session(&mut self) -> Result<&mut LoadSession> {
        self.settle()?;
        Ok(self.session)
    }

    /// Executes a failed statement in another way, after all of the batch before it.
    fn repair(&mut self, failed: &Definition, failure: &ServerError) -> Result<()> {
        self.failed.insert(failed.what());
        let mut alternatives = remedy::alternatives(failed, failure, &self.context);
        alternatives.retain(Alternative::is_of_paths);
        if alternatives.is_empty() {
            return Err(self.error(failed));
        }
        self.session.end_at_errors(true)?;
        self.roll_back()?;
        for done in std::mem::take(&mut self.batch) {
            self.session.send(&self.context.paths.first_script(&done).text())?;
        }
        self.session.send(format!("RELEASE SAVEPOINT {};\n", self.savepoint).as_bytes())?;
        self.set_savepoint()?;
        for alternative in alternatives {
            self.session.try_run(&alternative.script_in_transaction(failed), 0)?;
            if self.session.settle()?.is_none() {
                report(failed, &alternative, failure);
                self.session.send(b"RESET search_path;\n")?;
                self.session.send(&failed.settings.to_sql())?;
                return self.release();
            }
            self.roll_back()?;
        }
        Err(self.error(failed))
    }

    fn send_from(&mut self, first: usize) -> Result<()> {
        for (number, definition) in self.batch.iter().enumerate().skip(first) {
            let script = self.context.paths.first_script(definition);
            // What follows fails, too, where the statement has; what counts is how that has.
            self.session.try_run(&script.statement, number as u64)?;
            if !script.again.is_empty() {
                self.session.try_run(&script.again, number as u64)?;
            }
            self.session.send(script.reset)?;
        }
        Ok(())
    }

    fn set_savepoint(&mut self) -> Result<()> {
        self.session.send(format!("SAVEPOINT {};\n", self.savepoint).as_bytes())?;
        self.session.end_at_errors(false)
    }

    fn roll_back(&mut self) -> Result<()> {
        self.session.send(format!("ROLLBACK TO SAVEPOINT {};\n", self.savepoint).as_bytes())
    }

    fn release(&mut self) -> Result<()> {
        self.session.end_at_errors(true)?;
        self.session.send(format!("RELEASE SAVEPOINT {};\n", self.savepoint).as_bytes())
    }

    /// The error that the load ends with after a statement that no alternative helps.
    fn error(&mut self, failed: &Definition) -> Error {
        let failure = match self.session.reason().downcast::<ServerError>() {
            Ok(failure) if properties::may_hold_password(&failed.text) => failure.only_code(),
            Ok(failure) => failure,
            Err(error) => return error,
        };
        let advice = remedy::advice(failure.sqlstate(), false);
        let (what, line) = (failed.what(), failed.first_line());
        Error::new(failure.with_remedy(&advice))
            .context(format!("{what}: statement '{line}' failed"))
    }
}

fn report(failed: &Definition, alternative: &Alternative, failure: &ServerError) {
    use Alternative::{AsWritten, FunctionsUnder, OperatorsUnder, SearchPath};
    let path = match alternative {
        SearchPath(path) | OperatorsUnder(path) | FunctionsUnder(path) => path,
        AsWritten if failed.calls => "of the dump after all",
        _ => return,
    };
    info!("{} is created under the search path {path}: {failure}", failed.what());
}
