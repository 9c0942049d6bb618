//! Checks that rows violate: dropped, and added again after all rows.

use super::{DroppedCheck, Repair, table_name};
use crate::load::definition::{Definition, ObjectName};
use crate::load::remedy;
use crate::load::settings::SessionSettings;
use crate::server_error::ServerError;
use crate::sql::{Name, with_values};
use anyhow::{Context, Result};
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
}

impl Repair<'_> {
    /// Drops the checks of a table and of its columns' domains, which its rows violate; they are added again
    /// after all rows. If another worker was faster, there are none. Where nothing may be left out, only those are dropped
    /// that may hold once the rows of other tables are there. Returns false if that cannot help.
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
        let query = with_values(include_str!("checks_of_table.sql"), &values);
        let answer = self.server.query(self.database, &query)?;
        let mut constraints: Vec<CheckConstraint> =
            serde_json::from_str(&answer).context("listing the constraints of a table")?;
        constraints.retain(|constraint| self.keep_going || constraint.calls);
        let helps = self.keep_going || !constraints.is_empty();
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
            let CheckConstraint { comment, .. } = constraint;
            let table = table_name(table);
            dropped.push(DroppedCheck { definition, comment, table, failure: failure.clone() });
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
        for DroppedCheck { definition, comment, table, failure: of_rows } in dropped {
            if let Err(failure) = self.attempt_as_is(&definition)? {
                if !self.keep_going && failure.is(&[remedy::CHECK_VIOLATION]) {
                    return Err(self.rows_error(&table, of_rows));
                }
                self.repair(&definition, failure)?;
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
}
