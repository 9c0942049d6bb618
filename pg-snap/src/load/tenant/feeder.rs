//! Sends a schema's part of a dump to the one session that loads it.

use crate::database_state::Role;
use crate::load::load_session::LoadSession;
use crate::load::settings;
use crate::preflight::Facts;
use crate::roles;
use crate::sql::named_roles::named_roles;
use crate::sql::scanner::Observer;
use crate::sql::{Name, StatementKind, classify, loadable, properties};
use anyhow::Result;
use pipe_kit::{Stop, info};

/// Observes the schema's part, and sends it.
pub struct Feeder<'a> {
    session: &'a mut LoadSession,
    schema: &'a str,
    facts: &'a Facts,
    server_major: u32,
    /// Text since the last statement.
    text: Vec<u8>,
    /// Whether the schema itself was created.
    created: bool,
    in_copy: bool,
    /// Rows of each COPY.
    pub rows: Vec<u64>,
    /// Roles that were created because the server lacked them.
    pub roles: Vec<Role>,
    /// Tables in other schemas that foreign keys refer to, which locks them.
    pub referred: Vec<Name>,
}

impl<'a> Feeder<'a> {
    pub fn new(
        session: &'a mut LoadSession,
        schema: &'a str,
        facts: &'a Facts,
        server_major: u32,
    ) -> Self {
        Self {
            session,
            schema,
            facts,
            server_major,
            text: Vec::new(),
            created: false,
            in_copy: false,
            rows: Vec::new(),
            roles: Vec::new(),
            referred: Vec::new(),
        }
    }

    /// Creates the roles that a statement needs, in the same transaction.
    fn create_roles(&mut self, sql: &[u8]) -> Result<()> {
        for named in named_roles(sql) {
            let role = Role { name: named.name, login: false, owns: Some(named.owns) };
            let known = self.roles.iter().any(|created| created.name == role.name);
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
            info!("role {} does not exist here; creating it without login", role.name);
            self.session.send(format!("{create}\n").as_bytes())?;
            self.roles.push(role);
        }
        Ok(())
    }

    /// Refuses what a statement must not do here, or not yet.
    fn check(&mut self, statement: &StatementKind, sql: &[u8]) -> Result<(), Stop> {
        if matches!(statement, StatementKind::Begin | StatementKind::End)
            || properties::ends_transaction(sql)
        {
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
            return self.session.send(bytes);
        }
        self.text.extend_from_slice(bytes);
        Ok(())
    }

    fn statement(&mut self, sql: &[u8]) -> Result<()> {
        let statement = classify(sql);
        self.check(&statement, sql)?;
        match &statement {
            // The data must follow its statement on the next line.
            StatementKind::Copy { .. } => return Ok(()),
            StatementKind::Setting(name) if settings::is_ignored(name, self.server_major) => {
                self.text.clear();
                return Ok(());
            }
            StatementKind::ForeignKey { references, .. } if references.0 != self.schema => {
                self.referred.push(references.clone());
            }
            _ => {}
        }
        self.create_roles(sql)?;
        let mut text = loadable(std::mem::take(&mut self.text));
        // psql reads lines.
        text.push(b'\n');
        self.session.send(&text)
    }

    fn copy_begins(&mut self) -> Result<()> {
        self.in_copy = true;
        self.rows.push(0);
        let text = std::mem::take(&mut self.text);
        self.session.send(&text)
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
