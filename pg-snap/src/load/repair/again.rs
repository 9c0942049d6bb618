//! Trying again what was put aside or left out.

use super::{Repair, failure_of};
use crate::load::definition::Definition;
use crate::load::omitted::{Omission, Omitted};
use crate::load::remedy::{self, RetryContext};
use crate::load::retries;
use crate::server_error::ServerError;
use crate::sql::properties;
use anyhow::{Error, Result};
use pipe_kit::info;

/// Rows that no later statement changes: an index of a large table would be built for nothing.
const DUPLICATE: &str = "23505";

impl Repair<'_> {
    /// Tries omitted objects once more, as long as one succeeds: each may have needed one that came after it. Those that are
    /// not `due` stay as they are.
    ///
    /// # Errors
    /// If the server or a session has failed.
    pub fn retry_omitted(&self, due: impl Fn(&Definition) -> bool) -> Result<()> {
        while self.retry_each(&due)? {}
        Ok(())
    }

    /// Tries each once, in the order of the dump; true if one succeeded.
    fn retry_each(&self, due: impl Fn(&Definition) -> bool) -> Result<bool> {
        let mut before = std::mem::take(&mut *self.lock());
        before.sort_by_key(|omitted| omitted.definition.number);
        let mut any = false;
        for omitted in before {
            // A statement that drops something would drop what the dump has created since.
            let retry = omitted.omission == Omission::LeftOut
                && !omitted.failure.is(&[DUPLICATE])
                && !properties::drops(&omitted.definition.text)
                && due(&omitted.definition);
            if retry && self.attempt_again(&omitted.definition)? {
                info!("{} is created after all", omitted.definition.what());
                any = true;
            } else {
                self.lock().push(omitted);
            }
        }
        Ok(any)
    }

    /// Executes a statement as at first.
    pub(super) fn attempt_as_is(&self, definition: &Definition) -> Result<Result<(), ServerError>> {
        let mut session = self.open(&definition.settings)?;
        let done = session.send(&self.script(definition)).and_then(|()| session.sync());
        failure_of(done.map(drop))
    }

    /// Tries a statement as at first, then in the other ways that make all of it.
    fn attempt_again(&self, definition: &Definition) -> Result<bool> {
        let Err(failure) = self.attempt_as_is(definition)? else { return Ok(true) };
        let context =
            RetryContext { keep_going: false, has_rights: true, ..self.context(definition) };
        for alternative in remedy::alternatives(definition, &failure, &context) {
            if self.attempt(definition, &alternative)?.is_ok() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Ends the load if anything is missing that may not be left out.
    ///
    /// # Errors
    /// That of the first statement that was put aside.
    pub fn require_all(&self) -> Result<()> {
        if self.keep_going { Ok(()) } else { self.error_of_first().map_or(Ok(()), Err) }
    }

    /// The error of what was put aside before a failure, and may have caused it.
    pub(super) fn cause_of(&self, failure: &ServerError) -> Option<Error> {
        let may_have_cause = !self.keep_going && retries::may_be_mended(failure);
        may_have_cause.then(|| self.error_of_first())?
    }

    fn error_of_first(&self) -> Option<Error> {
        let Omitted { definition, failure, .. } =
            self.lock().iter().min_by_key(|omitted| omitted.definition.number)?.clone();
        Some(self.error_of(&definition, failure))
    }
}
