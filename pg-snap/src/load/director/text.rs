//! The dump's text as it is read: statements go to the dispatcher, rows to whoever fills their table.

use super::{DEAL, Director, Rows, Transaction};
use crate::load::crew::Work;
use crate::load::definition::Object;
use crate::load::schedule::Way;
use crate::load::share::Share;
use crate::load::statement::{Statement, classify};
use crate::scanner::{Observer, with_quoted_begin};
use crate::words::Name;
use anyhow::Result;
use std::sync::Arc;

impl Observer for Director<'_> {
    fn text(&mut self, bytes: &[u8]) -> Result<()> {
        let full = match &mut self.rows {
            None => {
                self.text.extend_from_slice(bytes);
                false
            }
            Some(Rows::Main) => {
                self.bar.inc(bytes.len() as u64);
                return self.send_once(bytes);
            }
            Some(Rows::Dealt { lines, .. }) => {
                // What came before is whole lines, and not the end.
                let full = lines.len() >= DEAL && lines.ends_with(b"\n");
                if !full {
                    lines.extend_from_slice(bytes);
                }
                full
            }
        };
        if full {
            self.deal()?;
            if let Some(Rows::Dealt { lines, .. }) = &mut self.rows {
                lines.extend_from_slice(bytes);
            }
        }
        Ok(())
    }

    fn statement(&mut self, sql: &[u8]) -> Result<()> {
        let mut text = std::mem::take(&mut self.text);
        self.bar.inc(text.len() as u64);
        let statement = classify(sql);
        if let Statement::Copy { .. } = statement {
            self.text = text;
            self.copying = Some(statement);
            return Ok(());
        }
        if let Some(quoted) = with_quoted_begin(&text) {
            text = quoted;
        }
        // psql reads lines. What follows on this one goes with the next statement.
        text.push(b'\n');
        match statement {
            statement
                if self.beside
                    && self.transaction == Transaction::None
                    && statement != Statement::Begin =>
            {
                let definition = self.definition(text);
                self.main.run(definition)
            }
            statement if self.transaction != Transaction::None => {
                self.run_in_transaction(&statement, sql, &text)
            }
            statement => self.run(&statement, text),
        }
    }

    fn comment(&mut self, text: &str) -> Result<()> {
        if let Some(object) = Object::of_comment(text) {
            self.object = Some(Arc::new(object));
        }
        Ok(())
    }

    fn copy_begins(&mut self) -> Result<()> {
        let text = std::mem::take(&mut self.text);
        let statement = self.copying.take().unwrap_or(Statement::Other);
        let uses = match self.transaction {
            Transaction::None => self.relations.uses(&statement),
            _ => None,
        };
        self.rows = Some(match uses {
            Some(uses) => {
                let table = match statement {
                    Statement::Copy { table } => table,
                    _ => Name::default(),
                };
                let repeatable = self.repair.keep_going || self.relations.needs_more(&table);
                let held = Arc::clone(&self.held);
                let share = Arc::new(Share::new(text, table, repeatable, held));
                self.give(&uses, 0, Work::Share(Arc::clone(&share)))?;
                let alone = uses.iter().any(|(_, way)| *way == Way::Alone);
                let workers = if alone { self.workers } else { 1 };
                Rows::Dealt { share, uses, workers, lines: Vec::new() }
            }
            None if self.transaction == Transaction::None => {
                self.in_order_once(&text)?;
                Rows::Main
            }
            None => {
                self.run_in_transaction(&statement, b"", &text)?;
                Rows::Main
            }
        });
        Ok(())
    }

    fn copy_ends(&mut self) -> Result<()> {
        if let Some(Rows::Dealt { lines, .. }) = &mut self.rows {
            // The line that ends the data is each worker's own to send.
            let end = memchr::memrchr(b'\n', lines.trim_ascii_end()).map_or(0, |at| at + 1);
            lines.truncate(end);
            if !lines.is_empty() {
                self.deal()?;
            }
        }
        match self.rows.take() {
            Some(Rows::Dealt { share, .. }) => share.close(),
            Some(Rows::Main) if self.transaction == Transaction::None => self.settle_once()?,
            Some(Rows::Main) | None => {}
        }
        Ok(())
    }

    fn copy_rows(&mut self, rows: u64, _bytes: u64) {
        if let Some(Rows::Main) = self.rows {
            self.main_rows += rows;
        }
    }
}
