//! What waits until the database has its name.

use super::Repair;
use crate::load::definition::Definition;
use crate::load::name_patterns::with_patterns;
use crate::load::remedy;
use crate::server_error::ServerError;
use crate::sql::{StatementKind, TokenCursor, classify, properties, tokens};
use anyhow::Result;
use pipe_kit::info;
use std::sync::PoisonError;

/// A statement about an index names it by then.
const TOKENS: usize = 16;
/// An undefined table or object.
const UNDEFINED: [&str; 2] = ["42P01", "42704"];

impl Repair<'_> {
    /// Postpones an index that rows violate, if it calls a function that reads the name of the database: they may fit it
    /// once the database has its own. What is about such an index is postponed, too. Returns false if it is neither.
    pub(super) fn postpone(&self, definition: &Definition, failure: &ServerError) -> Result<bool> {
        let waits = if failure.is(&UNDEFINED) {
            self.is_about_postponed(definition)
        } else {
            self.may_wait_for_name()
                && remedy::is_violation(failure)
                && properties::reindex(&definition.text).is_some()
                && self.reads_name(definition)?
        };
        if waits {
            let (what, why) = (definition.what(), failure.clone().brief());
            info!("{what} is created once the database has its name: {why}");
            self.wait_for_name(definition);
        }
        Ok(waits)
    }

    fn is_about_postponed(&self, definition: &Definition) -> bool {
        let postponed = self.postponed.lock().unwrap_or_else(PoisonError::into_inner);
        postponed.iter().any(|index| match classify(&index.text) {
            StatementKind::Index { index: (schema, name), .. } => {
                definition.schema() == Some(&schema) && names(&definition.text, &name)
            }
            _ => false,
        })
    }

    fn reads_name(&self, definition: &Definition) -> Result<bool> {
        let called = properties::called_functions(&String::from_utf8_lossy(&definition.text));
        if called.is_empty() {
            return Ok(false);
        }
        // The dump's text last: nothing may be replaced in it.
        let query = with_patterns(include_str!("functions_that_read_name.sql"));
        let answer = self.server.query(self.database, &query.replace("/*called*/", &called))?;
        Ok(answer.trim() == "t")
    }

    /// Under another name than the source's, rows that name the source fit nothing for good.
    pub(super) fn may_wait_for_name(&self) -> bool {
        self.same_name || self.keep_going
    }

    pub(super) fn wait_for_name(&self, definition: &Definition) {
        let mut postponed = self.postponed.lock().unwrap_or_else(PoisonError::into_inner);
        postponed.push(definition.clone());
    }
}

fn names(sql: &[u8], name: &str) -> bool {
    let tokens = tokens(&String::from_utf8_lossy(sql), TOKENS);
    (0..tokens.len()).any(|at| TokenCursor(&tokens[at..]).identifier().as_deref() == Some(name))
}
