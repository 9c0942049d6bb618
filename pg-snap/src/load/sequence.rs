//! The one session that runs the dump's statements in their order. It goes on past a statement that
//! fails, where that one can be repaired or left out: psql ends at the first error, so that nothing
//! behind it was run, and what was sent since is sent again in a new session.

use super::definition::Definition;
use super::repair::Repair;
use super::talk::Talk;
use crate::server_error::ServerError;
use anyhow::{Context, Error, Result};
use std::collections::VecDeque;

/// Statements that were sent and are not known to be done, at most; and their bytes.
const SENT: (usize, usize) = (512, 4 << 20);

/// See the module.
pub struct Sequence<'a> {
    repair: &'a Repair<'a>,
    talk: Talk,
    /// Not known to be done, each with its place in the order of sending, which is not that of the dump.
    sent: VecDeque<(u64, Definition)>,
    sent_bytes: usize,
    /// Statements sent so far.
    tickets: u64,
    /// Whether something was run that may have set what a new session would not have.
    opaque: bool,
    /// What was sent that cannot be repeated, and is not known to be done.
    once: Option<String>,
}

impl<'a> Sequence<'a> {
    /// Connects.
    ///
    /// # Errors
    /// If psql cannot be started.
    pub fn open(repair: &'a Repair<'a>) -> Result<Self> {
        let talk = Talk::open(repair.server, repair.database, repair.begin)?;
        Ok(Self {
            repair,
            talk,
            sent: VecDeque::new(),
            sent_bytes: 0,
            tickets: 0,
            opaque: false,
            once: None,
        })
    }

    /// Runs a statement after all before it. It may still be at work when this returns.
    ///
    /// # Errors
    /// If this statement or one before it fails, and cannot be repaired or left out.
    pub fn run(&mut self, definition: Definition) -> Result<()> {
        self.sent_bytes += definition.text.len();
        self.tickets += 1;
        let sent = self.talk.run(&definition.text, self.tickets);
        self.sent.push_back((self.tickets, definition));
        self.recovered(sent)?;
        self.forget();
        while self.sent.len() > SENT.0 || self.sent_bytes > SENT.1 {
            let half = self.sent.get(self.sent.len() / 2).map_or(0, |(ticket, _)| *ticket);
            let waited = self.talk.wait_for(half);
            self.recovered(waited)?;
            self.forget();
        }
        Ok(())
    }

    /// From now on, no new session can stand in for this one: every failure is final.
    pub fn set_opaque(&mut self) {
        self.opaque = true;
    }

    /// Waits until all statements are done.
    ///
    /// # Errors
    /// As [`Sequence::run`].
    pub fn settle(&mut self) -> Result<()> {
        loop {
            // Psql must have seen the end of the last statement, too, which only the server can confirm.
            let synced = self.talk.sync().map(drop);
            let whole = synced.is_ok();
            self.recovered(synced)?;
            if whole {
                self.once = None;
                self.sent.clear();
                self.sent_bytes = 0;
                return Ok(());
            }
        }
    }

    /// Sends what cannot be repeated, such as rows and parts of a transaction: until it is settled, every
    /// failure is taken for its own, and is final. All statements before it must have been settled.
    ///
    /// # Errors
    /// Why psql has ended.
    pub fn send(&mut self, bytes: &[u8], what: impl FnOnce() -> String) -> Result<()> {
        let sent = self.talk.send(bytes);
        let what = self.once.get_or_insert_with(what);
        sent.map_err(|error| error.context(what.clone()))
    }

    /// Waits until what cannot be repeated is done; gives how many rows each COPY took.
    ///
    /// # Errors
    /// Why psql has ended.
    pub fn settle_once(&mut self) -> Result<Vec<u64>> {
        let copied = self.talk.sync();
        match self.once.take() {
            Some(what) => copied.context(what),
            None => copied,
        }
    }

    fn forget(&mut self) {
        let done = self.talk.done();
        while self.sent.front().is_some_and(|(ticket, _)| *ticket <= done) {
            let forgotten = self.sent.pop_front();
            self.sent_bytes -= forgotten.map_or(0, |(_, definition)| definition.text.len());
        }
    }

    /// Has the statement repaired that a failure was of, and sends again what came after it.
    fn recovered(&mut self, mut outcome: Result<()>) -> Result<()> {
        while let Err(error) = outcome {
            if let Some(what) = &self.once {
                return Err(error.context(what.clone()));
            }
            let failure = match error.downcast::<ServerError>() {
                Ok(failure) => failure,
                Err(error) => return Err(self.naming(error)),
            };
            self.forget();
            let Some((_, failed)) = self.sent.pop_front() else { return Err(failure.into()) };
            self.sent_bytes -= failed.text.len();
            if self.opaque {
                return Err(self.repair.error(&failed, failure));
            }
            self.repair.outcome::<()>(&failed, Err(failure.into()))?;
            outcome = self.reopen(&failed);
        }
        Ok(())
    }

    fn reopen(&mut self, after: &Definition) -> Result<()> {
        self.talk = self.repair.open(&after.settings)?;
        self.sent
            .iter()
            .try_for_each(|(ticket, definition)| self.talk.run(&definition.text, *ticket))
    }

    /// What is no error of a statement still shows where it happened.
    fn naming(&self, error: Error) -> Error {
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
