//! The one session that runs the dump's statements in their order. It continues after a statement that
//! fails, where that one can be repaired or left out: psql ends at the first error, so nothing after it
//! was run, and a new session gets everything sent since.

use super::definition::Definition;
use super::load_session::LoadSession;
use super::repair::Repair;
use super::retries::Retries;
use crate::server_error::ServerError;
use anyhow::{Context, Error, Result};
use std::collections::VecDeque;

/// How many statements may be sent and not known to be done; and their bytes.
const SENT: (usize, usize) = (512, 4 << 20);

/// The session, and what it would have to run again.
pub struct OrderedSession<'a> {
    repair: &'a Repair<'a>,
    session: LoadSession,
    /// Sent and not known to be done, each with its number in the order of sending, which is not that of
    /// the dump.
    sent: VecDeque<(u64, Definition)>,
    sent_bytes: usize,
    /// Statements sent so far.
    sent_count: u64,
    /// Whether a new session could replace this one: nothing was run that may have set what a new
    /// session would lack.
    replaceable: bool,
    /// When what has failed is tried again.
    retries: Retries,
    /// The object of what was sent that cannot be repeated, and is not known to be done.
    unrepeatable: Option<String>,
}

impl<'a> OrderedSession<'a> {
    /// Connects.
    pub fn open(repair: &'a Repair<'a>) -> Result<Self> {
        let session = LoadSession::open(repair.server, repair.database, repair.begin)?;
        Ok(Self {
            repair,
            session,
            sent: VecDeque::new(),
            sent_bytes: 0,
            sent_count: 0,
            replaceable: true,
            retries: Retries::default(),
            unrepeatable: None,
        })
    }

    /// Runs a statement after all before it, and after what must not be tried again behind it; without waiting for its
    /// end.
    ///
    /// # Errors
    /// If this statement or one before it fails, and can neither be repaired nor left out.
    pub fn run(&mut self, definition: Definition) -> Result<()> {
        if let Some(due) = self.retries.enter(&definition) {
            self.wait()?;
            self.repair.retry_omitted(|omitted| due.includes(omitted))?;
        }
        self.sent_bytes += definition.text.len();
        self.sent_count += 1;
        let sent = self.session.run(&self.repair.script(&definition), self.sent_count);
        self.sent.push_back((self.sent_count, definition));
        self.recover(sent)?;
        self.forget();
        while self.sent.len() > SENT.0 || self.sent_bytes > SENT.1 {
            let half = self.sent.get(self.sent.len() / 2).map_or(0, |(ticket, _)| *ticket);
            let waited = self.session.wait_for(half);
            self.recover(waited)?;
            self.forget();
        }
        Ok(())
    }

    /// Tries again what was put aside or left out, once all statements sent are done.
    ///
    /// # Errors
    /// As [`OrderedSession::run`].
    pub fn retry_omitted(&mut self) -> Result<()> {
        self.wait()?;
        self.repair.retry_omitted(|omitted| self.retries.allow(omitted))
    }

    /// From now on, no new session can replace this one: every failure is final.
    pub fn set_irreplaceable(&mut self) {
        self.replaceable = false;
    }

    /// Waits until all statements are done.
    ///
    /// # Errors
    /// As [`OrderedSession::run`].
    pub fn wait(&mut self) -> Result<()> {
        loop {
            // Only the server can confirm that psql has found the end of the last statement.
            let synced = self.session.sync().map(drop);
            let all_done = synced.is_ok();
            self.recover(synced)?;
            if all_done {
                self.unrepeatable = None;
                self.sent.clear();
                self.sent_bytes = 0;
                return Ok(());
            }
        }
    }

    /// Sends what cannot be repeated, such as rows and parts of a transaction. Until
    /// [`OrderedSession::wait_unrepeatable`] returns, every failure counts as its own, and is final. All
    /// statements before it must be done.
    pub fn send_unrepeatable(&mut self, bytes: &[u8], what: impl FnOnce() -> String) -> Result<()> {
        let sent = self.session.send(bytes);
        let what = self.unrepeatable.get_or_insert_with(what);
        sent.map_err(|error| error.context(what.clone()))
    }

    /// Waits until what cannot be repeated is done; returns how many rows each COPY took.
    pub fn wait_unrepeatable(&mut self) -> Result<Vec<u64>> {
        let copied = self.session.sync();
        match self.unrepeatable.take() {
            Some(what) => copied.context(what),
            None => copied,
        }
    }

    fn forget(&mut self) {
        let done = self.session.done();
        while self.sent.front().is_some_and(|(ticket, _)| *ticket <= done) {
            let forgotten = self.sent.pop_front();
            self.sent_bytes -= forgotten.map_or(0, |(_, definition)| definition.text.len());
        }
    }

    /// Repairs the statement that failed, and sends again what came after it.
    fn recover(&mut self, mut outcome: Result<()>) -> Result<()> {
        while let Err(error) = outcome {
            if let Some(what) = &self.unrepeatable {
                return Err(error.context(what.clone()));
            }
            let failure = match error.downcast::<ServerError>() {
                Ok(failure) => failure,
                Err(error) => return Err(self.with_place(error)),
            };
            self.forget();
            let Some((_, failed)) = self.sent.pop_front() else { return Err(failure.into()) };
            self.sent_bytes -= failed.text.len();
            if !self.replaceable {
                return Err(self.repair.error(&failed, failure));
            }
            self.repair.outcome::<()>(&failed, Err(failure.into()))?;
            outcome = self.reopen(&failed);
        }
        Ok(())
    }

    fn reopen(&mut self, after: &Definition) -> Result<()> {
        self.session = self.repair.open(&after.settings)?;
        self.sent
            .iter()
            .try_for_each(|(ticket, sent)| self.session.run(&self.repair.script(sent), *ticket))
    }

    /// Names the statement that was running, for an error that is none of the statement's own.
    fn with_place(&self, error: Error) -> Error {
        match self.sent.front() {
            Some((_, definition)) => error.context(format!(
                "{}: statement '{}'",
                definition.what(),
                definition.first_line()
            )),
            None => error,
        }
    }
}
