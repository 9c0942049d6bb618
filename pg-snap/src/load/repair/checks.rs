//! Checks that rows violate: dropped, and added again after all rows.

use super::{DroppedCheck, Repair, table_name};
use crate::load::definition::{Definition, ObjectName};
use crate::load::domain_rows;
use crate::load::name_patterns::with_patterns;
use crate::load::omitted::Omission;
use crate::load::remedy::{self, Alternative};
use crate::load::settings::SessionSettings;
use crate::server_error::ServerError;
use crate::sql::{Name, with_values};
use anyhow::{Context, Result};
use pipe_kit::warning;
use serde::Deserialize;
use std::sync::{Arc, PoisonError};

/// The statements that drop a constraint, add it again, and give it its comment back.
#[derive(Deserialize)]
struct CheckConstraint {
    drop: String,
    add: String,
    comment: Option<String>,
    /// Whether it calls a function, which may read rows that are not there yet.
    calls: bool,
    /// Whether it reads the name of the database.
    reads_name: bool,
}

impl Repair<'_> {
    /// Drops the checks of a table and of its columns' domains, which its rows violate; they are added again
    /// after all rows. If another worker was faster, there are none. Where nothing may be left out, only those are dropped
    /// that may hold once the rows of other tables are there, or the database has its name. Returns false if that cannot help.
    pub(super) fn drop_checks(&self, table: &Name, failure: &ServerError) -> Result<bool> {
        let may_help = match self.keep_going {
            true => remedy::is_violation(failure),
            false => failure.is(&[remedy::CHECK_VIOLATION]),
        };
        if !may_help {
            return Ok(false);
        }
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        let values = [("schema", table.0.as_str()), ("table", table.1.as_str())];
        let query = with_values(&with_patterns(include_str!("checks_of_table.sql")), &values);
        let answer = self.server.query(self.database, &query)?;
        let mut constraints: Vec<CheckConstraint> =
            serde_json::from_str(&answer).context("listing the constraints of a table")?;
        constraints.retain(|check| self.keep_going || check.calls || check.reads_name);
        // Another worker may have dropped the checks of this table, or of a domain.
        let helps = self.keep_going || !constraints.is_empty() || !dropped.is_empty();
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
                calls: constraint.calls,
            };
            let CheckConstraint { comment, reads_name, .. } = constraint;
            let (table, failure) = (table_name(table), failure.clone());
            dropped.push(DroppedCheck { definition, comment, reads_name, table, failure });
        }
        Ok(helps)
    }

    /// Adds the dropped constraints again: where objects may be left out, for new rows at least.
    ///
    /// # Errors
    /// That of the rows, if they violate it even now and nothing may be left out.
    pub fn restore_constraints(&self) -> Result<()> {
        let dropped =
            std::mem::take(&mut *self.dropped.lock().unwrap_or_else(PoisonError::into_inner));
        for DroppedCheck { definition, comment, reads_name, table, failure: of_rows } in dropped {
            if let Err(failure) = self.attempt_as_is(&definition)? {
                let mut is_violated = failure.is(&[remedy::CHECK_VIOLATION]);
                let may_hold = reads_name && self.may_wait_for_name();
                let mut is_added = may_hold && self.add_unvalidated(&definition)?;
                if !is_added && let Some(fit) = self.add_by_queries(&definition, &failure)? {
                    is_added = fit || self.keep_going;
                    is_violated = !fit;
                }
                if is_violated && !is_added && !self.keep_going {
                    return Err(self.rows_error(&table, of_rows));
                }
                if !is_added {
                    self.repair(&definition, failure)?;
                }
            }
            if let Some(comment) = comment {
                let comment = Definition { text: comment.into_bytes(), ..definition };
                if let Err(failure) = self.attempt_as_is(&comment)? {
                    self.repair(&comment, failure)?;
                }
            }
        }
        Ok(())
    }

    /// Adds a check that the server cannot validate, and checks the rows by queries: whether they fit it. None if it is no
    /// such check.
    fn add_by_queries(
        &self,
        definition: &Definition,
        failure: &ServerError,
    ) -> Result<Option<bool>> {
        let queries = domain_rows::queries(self.server, self.database, definition, failure);
        let Some(queries) = queries else { return Ok(None) };
        if self.attempt(definition, &Alternative::NotValid)?.is_err() {
            return Ok(None);
        }
        let checked = self.attempt_as_is(&queries)?;
        let fit = checked.is_ok();
        match checked {
            Ok(()) => warning!("{}", domain_rows::fit(definition)),
            Err(failure) if self.keep_going => self.omit(Omission::NotValid, &queries, failure),
            Err(_) => {}
        }
        Ok(Some(fit))
    }

    /// Adds a check as not valid, to be validated once the database has its name. Returns false if it cannot be added.
    fn add_unvalidated(&self, definition: &Definition) -> Result<bool> {
        let added = self.attempt(definition, &Alternative::NotValid)?.is_ok();
        if added {
            self.wait_for_name(definition);
        }
        Ok(added)
    }
}
