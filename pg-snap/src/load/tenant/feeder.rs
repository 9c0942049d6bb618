//! Feeds a schema's part to the one session that brings it back.

use super::named_roles::named_roles;
use crate::database_state::Role;
use crate::load::statement::{Statement, classify};
use crate::load::talk::Talk;
use crate::preflight::Facts;
use crate::roles;
use crate::scanner::{Observer, with_quoted_begin};
use crate::words::{Name, Rest, words};
use anyhow::Result;
use pipe_kit::{Stop, say};

/// Settings of the dump that are ours to make: a load that waits for others must not wait for ever.
const OURS: [&str; 1] = [".lock_timeout"];

/// See the module. As an [`Observer`] it takes the part's text.
pub struct Feeder<'a> {
    talk: &'a mut Talk,
    schema: &'a str,
    facts: &'a Facts,
    server_major: u32,
    /// Text since the last statement.
    text: Vec<u8>,
    /// Whether the schema itself was made.
    made: bool,
    in_copy: bool,
    /// Rows of each COPY.
    pub rows: Vec<u64>,
    /// Made because the server lacked them.
    pub roles: Vec<Role>,
    /// Tables elsewhere that foreign keys refer to, which are locked for that.
    pub referred: Vec<Name>,
}

impl<'a> Feeder<'a> {
    pub fn new(talk: &'a mut Talk, schema: &'a str, facts: &'a Facts, server_major: u32) -> Self {
        Self {
            talk,
            schema,
            facts,
            server_major,
            text: Vec::new(),
            made: false,
            in_copy: false,
            rows: Vec::new(),
            roles: Vec::new(),
            referred: Vec::new(),
        }
    }

    /// Roles are made in the same transaction, and go with it if it fails.
    fn make_roles(&mut self, sql: &[u8]) -> Result<()> {
        for role in named_roles(sql) {
            let known = self.roles.iter().any(|made| made.name == role.name);
            if known || self.facts.roles.contains_key(&role.name) {
                continue;
            }
            let Facts { me, superuser, may_create_roles, .. } = self.facts;
            let create = roles::create_statements(&role, me, *superuser, self.server_major);
            if !may_create_roles {
                return Err(Stop::refused(format!(
                    "the dump needs role {}, which the server lacks, and role {me} may not create roles; as \
                     a superuser: {create}",
                    role.name
                ))
                .into());
            }
            say!("role {} does not exist here; creating it without login", role.name);
            self.talk.send(format!("{create}\n").as_bytes())?;
            self.roles.push(role);
        }
        Ok(())
    }

    /// What a statement must not do here, or not yet.
    fn check(&mut self, statement: &Statement, sql: &[u8]) -> Result<(), Stop> {
        let head = String::from_utf8_lossy(&sql[..sql.len().min(1024)]);
        let words = words(&head, 4);
        let is = |keywords: &str| Rest(&words).skip(keywords);
        if matches!(statement, Statement::Begin | Statement::End)
            || is("ABORT")
            || is("PREPARE TRANSACTION")
        {
            return Err(Stop::damaged(
                "the dump ends or begins a transaction inside the schema's part",
            ));
        }
        self.made |= is("CREATE SCHEMA");
        if !self.made && !matches!(statement, Statement::Setting(_)) {
            return Err(Stop::refused(format!(
                "the dump holds what is in schema {} but not the schema itself, as of public or with pg_dump \
                 -t; load it into another database (PGDATABASE=copy pg-snap load) and take from there what \
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
            return self.talk.send(bytes);
        }
        self.text.extend_from_slice(bytes);
        Ok(())
    }

    fn statement(&mut self, sql: &[u8]) -> Result<()> {
        let statement = classify(sql);
        self.check(&statement, sql)?;
        match &statement {
            // The data must follow its statement on the next line.
            Statement::Copy { .. } => return Ok(()),
            Statement::Setting(name) => {
                let unknown = name == ".transaction_timeout" && self.server_major < 17;
                if unknown || OURS.contains(&name.as_str()) {
                    self.text.clear();
                    return Ok(());
                }
            }
            Statement::ForeignKey { references, .. } if references.0 != self.schema => {
                self.referred.push(references.clone());
            }
            _ => {}
        }
        self.make_roles(sql)?;
        let mut text = std::mem::take(&mut self.text);
        if let Some(quoted) = with_quoted_begin(&text) {
            text = quoted;
        }
        // psql reads lines.
        text.push(b'\n');
        self.talk.send(&text)
    }

    fn copy_begins(&mut self) -> Result<()> {
        self.in_copy = true;
        self.rows.push(0);
        let text = std::mem::take(&mut self.text);
        self.talk.send(&text)
    }

    fn copy_ends(&mut self) -> Result<()> {
        self.in_copy = false;
        Ok(())
    }

    fn copy_rows(&mut self, rows: u64, _bytes: u64) {
        if let Some(last) = self.rows.last_mut() {
            *last += rows;
        }
    }
}
