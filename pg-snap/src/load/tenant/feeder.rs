//! Sends a schema's part of a dump to the one session that loads it.

use super::staged_rows::StagedRows;
use super::transaction::Transaction;
use crate::database_state::Role;
use crate::load::definition::{Definition, ObjectName};
use crate::load::relations::Relations;
use crate::load::search_paths::PathReport;
use crate::load::settings::{self, SessionSettings};
use crate::preflight::Facts;
use crate::roles;
use crate::sql::named_roles::named_roles;
use crate::sql::scanner::Observer;
use crate::sql::{
    Name, StatementKind, classify, client_encoding, ident, length_of_comments, loadable, properties,
};
use anyhow::Result;
use pipe_kit::{Stop, info};
use std::sync::Arc;

/// Observes the schema's part, and sends it.
pub struct Feeder<'a> {
    transaction: Transaction<'a>,
    schema: &'a str,
    facts: &'a Facts,
    server_major: u32,
    /// Text since the last statement.
    text: Vec<u8>,
    settings: Arc<SessionSettings>,
    relations: Relations,
    report: PathReport,
    /// Whether the schema itself was created.
    created: bool,
    /// The table of the last COPY.
    table: Option<Name>,
    in_copy: bool,
    /// The rows of the COPY that goes on, if they do not go to their table at once, and whether they call functions of
    /// the dump.
    staged: Option<(StagedRows, Option<Arc<ObjectName>>, bool)>,
    sent: Sent,
}

/// What was sent.
#[derive(Default)]
pub struct Sent {
    /// Rows of each COPY.
    pub rows: Vec<u64>,
    /// Roles that were created because the server lacked them.
    pub roles: Vec<Role>,
    /// Tables in other schemas that foreign keys refer to, which locks them.
    pub referred: Vec<Name>,
}

impl<'a> Feeder<'a> {
    pub fn new(
        transaction: Transaction<'a>,
        schema: &'a str,
        facts: &'a Facts,
        server_major: u32,
    ) -> Self {
        Self {
            transaction,
            schema,
            facts,
            server_major,
            text: Vec::new(),
            settings: Arc::default(),
            relations: Relations::default(),
            report: PathReport::default(),
            created: false,
            table: None,
            in_copy: false,
            staged: None,
            sent: Sent::default(),
        }
    }

    /// Waits until the server has executed everything, unless reading has failed.
    pub fn finish(mut self, read: Result<()>) -> (Sent, Result<()>) {
        let done = read.and_then(|()| self.transaction.settle());
        if done.is_ok() {
            let transaction = &self.transaction;
            self.report.report(transaction.paths(), |what| transaction.has_failed(what));
        }
        (self.sent, done)
    }

    fn run(&mut self, text: Vec<u8>, object: Option<Arc<ObjectName>>) -> Result<()> {
        let definition = self.definition(text, object, false);
        self.transaction.run(definition)
    }

    /// `calls`: whether it evaluates functions that are not the server's own.
    fn definition(
        &self,
        text: Vec<u8>,
        object: Option<Arc<ObjectName>>,
        calls: bool,
    ) -> Definition {
        Definition { number: 0, object, text, settings: Arc::clone(&self.settings), calls }
    }

    /// Creates the roles that a statement needs, in the same transaction.
    fn create_roles(&mut self, sql: &[u8]) -> Result<()> {
        let encoding = self.settings.get(".client_encoding").and_then(client_encoding);
        // Of the others, the server reports those that it lacks.
        let named = named_roles(sql).into_iter().filter(|r| r.is_read_right(encoding.as_deref()));
        for named in named {
            let role = Role { name: named.name, login: false, owns: Some(named.owns) };
            let known = self.sent.roles.iter().any(|created| created.name == role.name);
            if known || self.facts.roles.contains_key(&role.name) {
                continue;
            }
            let Facts { me, superuser, may_create_roles, .. } = self.facts;
            let create = roles::create_statements(&role, &ident(me), *superuser, self.server_major);
            if !may_create_roles {
                return Err(Stop::refused(format!(
                    "the dump needs role {}, which the server lacks, and role {me} may not create roles; as \
                     a superuser: {create}",
                    role.name
                ))
                .into());
            }
            info!("role {} does not exist here; creating it without login", role.name);
            self.run(format!("{create}\n").into_bytes(), None)?;
            self.sent.roles.push(role);
        }
        Ok(())
    }

    /// The settings under which rows are copied to their stage.
    fn settings_of_stage(&self) -> SessionSettings {
        self.settings.under(self.transaction.paths().of_functions())
    }

    /// The text since the last statement without the comments above it, and the object that they name.
    fn take_text(&mut self) -> (Vec<u8>, Option<Arc<ObjectName>>) {
        let mut text = std::mem::take(&mut self.text);
        let comments: Vec<u8> = text.drain(..length_of_comments(&text)).collect();
        let comments = String::from_utf8_lossy(&comments);
        let object = comments.lines().filter_map(ObjectName::of_comment).next_back();
        (text, object.map(Arc::new))
    }

    /// Refuses what a statement must not do here, or not yet.
    fn check(&mut self, statement: &StatementKind, sql: &[u8]) -> Result<(), Stop> {
        if properties::is_of_transaction(sql) {
            return Err(Stop::damaged(
                "the dump ends or begins a transaction inside the schema's part",
            ));
        }
        self.created |= properties::creates_schema(sql);
        if !self.created && !matches!(statement, StatementKind::Setting(_)) {
            return Err(Stop::refused(format!(
                "the dump holds objects of schema {} but not the schema itself, as for public or with pg_dump \
                 -t; load it into another database (PGDATABASE=copy pg-snap load) and copy from there what \
                 you need",
                self.schema.replace(char::is_control, "?")
            )));
        }
        Ok(())
    }
}

impl Observer for Feeder<'_> {
    fn text(&mut self, bytes: &[u8]) -> Result<()> {
        if self.in_copy {
            return self.transaction.settled_session()?.send(bytes);
        }
        self.text.extend_from_slice(bytes);
        Ok(())
    }

    fn statement(&mut self, sql: &[u8]) -> Result<()> {
        let statement = classify(sql);
        self.check(&statement, sql)?;
        self.relations.record(&statement);
        match &statement {
            // The data must follow its statement on the next line.
            StatementKind::Copy { table } => {
                self.table = Some(table.clone());
                return Ok(());
            }
            StatementKind::Setting(name) if settings::is_ignored(name, self.server_major) => {
                self.text.clear();
                return Ok(());
            }
            StatementKind::ForeignKey { references, .. } if references.0 != self.schema => {
                self.sent.referred.push(references.clone());
            }
            _ => {}
        }
        self.create_roles(sql)?;
        let (text, object) = self.take_text();
        let mut text = loadable(text);
        // psql reads lines.
        text.push(b'\n');
        let takes_long = takes_long(&statement);
        if takes_long {
            self.transaction.settle()?;
        }
        let calls = self.relations.evaluates(&statement, &text);
        let mut definition = self.definition(text, object, calls);
        self.report.add(&definition, self.transaction.paths());
        // The view may read one of another schema, which calls functions.
        definition.calls |= matches!(statement, StatementKind::Refresh { .. });
        if let StatementKind::Setting(name) = statement {
            Arc::make_mut(&mut self.settings).set(name, definition.text.clone());
        }
        self.transaction.run(definition)?;
        if takes_long { self.transaction.settle() } else { Ok(()) }
    }

    fn copy_begins(&mut self) -> Result<()> {
        self.in_copy = true;
        self.sent.rows.push(0);
        let (text, object) = self.take_text();
        let table = self.table.take();
        let calls = table.as_ref().is_some_and(|table| self.relations.calls(table));
        let is_staged = table.is_some_and(|table| self.relations.needs_others(&table));
        let rows = if is_staged { StagedRows::of(&text) } else { None };
        let begin = match &rows {
            Some(rows) => {
                // Parts of an array or a composite value keep their checks.
                let set = self.settings_of_stage().changes_since(&self.settings);
                [rows.create(), set, rows.copy()].concat()
            }
            None => text,
        };
        self.staged = rows.map(|rows| (rows, object, calls));
        self.transaction.settled_session()?.send(&begin)
    }

    fn copy_ends(&mut self) -> Result<()> {
        self.in_copy = false;
        let Some((rows, object, calls)) = self.staged.take() else { return Ok(()) };
        let reset = self.settings.changes_since(&self.settings_of_stage());
        self.transaction.settled_session()?.send(&reset)?;
        let insert = self.definition(rows.insert(), object, true);
        if calls {
            self.report.add(&insert, self.transaction.paths());
        }
        self.transaction.run(insert)?;
        self.transaction.settled_session()?.send(&rows.end())
    }

    fn copy_rows(&mut self, rows: u64, _bytes: u64) {
        if let Some(last) = self.sent.rows.last_mut() {
            *last += rows;
        }
    }
}

/// Whether a statement reads whole tables, so that it is not to be repeated because another one fails.
fn takes_long(statement: &StatementKind) -> bool {
    use StatementKind::{ForeignKey, Index, Refresh, Table};
    matches!(statement, Index { .. } | Table { .. } | ForeignKey { .. } | Refresh { .. })
}
