//! What a load does where a statement of the dump fails: it tries the ways that may help, each in a
//! session of its own, and, where that is asked for, leaves out what is derived from rows.

use super::definition::{Definition, Object};
use super::omitted::{Omission, Omitted};
use super::remedy::{self, RowWay, Way};
use super::settings::Seen;
use super::talk::Talk;
use crate::psql::Server;
use crate::server_error::ServerError;
use crate::sql::literal;
use crate::words::Name;
use anyhow::{Context, Error, Result, anyhow};
use pipe_kit::{say, warning};
use serde::Deserialize;
use std::sync::{Arc, Mutex, PoisonError};

/// See the module. Shared by all sessions of a load.
pub struct Repair<'a> {
    pub server: &'a Server,
    pub database: &'a str,
    /// What every session begins with.
    pub begin: &'a str,
    /// The search path that the source database had, as a list of SQL.
    pub search_path: &'a [String],
    /// Whether objects may be left out.
    pub keep_going: bool,
    omitted: Mutex<Vec<Omitted>>,
    /// Constraints that were dropped, with the statement of their comment.
    relaxed: Mutex<Vec<(Definition, Option<String>)>>,
    /// Held while functions have another search path.
    functions: Mutex<()>,
}

impl<'a> Repair<'a> {
    pub fn new(
        server: &'a Server,
        database: &'a str,
        begin: &'a str,
        search_path: &'a [String],
        keep_going: bool,
    ) -> Self {
        let (omitted, relaxed, functions) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { server, database, begin, search_path, keep_going, omitted, relaxed, functions }
    }

    /// A session under these settings of the dump.
    ///
    /// # Errors
    /// If psql cannot be started.
    pub fn open(&self, settings: &Seen) -> Result<Talk> {
        let mut talk = Talk::open(self.server, self.database, self.begin)?;
        talk.send(&settings.to_sql())?;
        Ok(talk)
    }

    /// What comes of a statement that a session was to run: false where it has failed, and with it the
    /// session, but is done in another way or left out.
    ///
    /// # Errors
    /// As [`Repair::statement`]; if the session or the server has failed.
    pub fn outcome<T>(&self, definition: &Definition, run: Result<T>) -> Result<bool> {
        let Err(error) = run else { return Ok(true) };
        let failure = error.downcast::<ServerError>()?;
        if !failure.is_of_a_statement() {
            return Err(self.error(definition, failure));
        }
        self.statement(definition, failure).map(|()| false)
    }

    /// Has a statement done that has failed, in another way, or leaves it out.
    ///
    /// # Errors
    /// If nothing helps: names the object, its statement and what to do.
    pub fn statement(&self, definition: &Definition, failure: ServerError) -> Result<()> {
        let ways = remedy::ways(&definition.text, &failure, &self.facts(definition));
        let mut last = failure.clone();
        for way in ways {
            match self.attempt(definition, &way)? {
                Ok(()) => return self.note(definition, &way, failure),
                Err(other) => last = other,
            }
        }
        let failure = remedy::more_telling(failure, last);
        if self.keep_going && remedy::may_be_omitted(&definition.text) {
            self.omit(Omission::LeftOut, definition, failure);
            return Ok(());
        }
        Err(self.error(definition, failure))
    }

    fn facts<'b>(&'b self, definition: &'b Definition) -> remedy::Facts<'b> {
        remedy::Facts {
            search_path: self.search_path,
            schema: definition.schema(),
            server_major: self.server.version.major,
            keep_going: self.keep_going,
        }
    }

    fn attempt(&self, definition: &Definition, way: &Way) -> Result<Result<(), ServerError>> {
        // Two at once would change the same function.
        let _alone = matches!(way, Way::FunctionsUnder(_))
            .then(|| self.functions.lock().unwrap_or_else(PoisonError::into_inner));
        let mut talk = self.open(&definition.settings)?;
        let script = way.script(&definition.text);
        let done = talk.send(&script).and_then(|()| talk.sync());
        failure_of(done.map(drop))
    }

    fn note(&self, definition: &Definition, way: &Way, failure: ServerError) -> Result<()> {
        match way {
            Way::Path(path) | Way::FunctionsUnder(path) => say!(
                "{} is made under the search path {path}: {}",
                definition.what(),
                failure.brief()
            ),
            Way::Again => {}
            Way::NotValid => self.omit(Omission::NotValid, definition, failure),
            Way::Reduced(reduced) => return self.add_parts(definition, &reduced.parts),
        }
        Ok(())
    }

    /// Adds the clauses that a table was made without, each alone.
    fn add_parts(&self, definition: &Definition, parts: &[String]) -> Result<()> {
        for part in parts {
            let mut definition = definition.clone();
            definition.text = part.clone().into_bytes();
            if let Err(failure) = self.attempt_plainly(&definition)? {
                self.statement(&definition, failure)?;
            }
        }
        Ok(())
    }

    /// Notes what the loaded database lacks.
    pub fn omit(&self, omission: Omission, definition: &Definition, failure: ServerError) {
        let definition = definition.clone();
        let failure = if definition.is_secret() { failure.only_code() } else { failure };
        let omitted = Omitted { omission, definition, failure };
        warning!("{omitted}");
        self.lock().push(omitted);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Omitted>> {
        self.omitted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a load that does not keep going ends with.
    pub fn error(&self, definition: &Definition, failure: ServerError) -> Error {
        let failure = if definition.is_secret() { failure.only_code() } else { failure };
        let state = failure.sqlstate().map(str::to_owned);
        let omit = failure.is_of_a_statement() && remedy::may_be_omitted(&definition.text);
        let remedy = remedy::remedy(state.as_deref(), omit && !self.keep_going);
        let what = definition.what();
        let line = definition.first_line();
        Error::new(failure.with_remedy(&remedy))
            .context(format!("{what}: statement '{line}' failed"))
    }

    /// Tries once more what was left out: an object may have needed one that came after it.
    ///
    /// # Errors
    /// If the server does not answer.
    pub fn try_again(&self) -> Result<()> {
        let mut before = std::mem::take(&mut *self.lock());
        before.sort_by_key(|omitted| omitted.definition.number);
        for omitted in before {
            let again =
                omitted.omission == Omission::LeftOut && omitted.definition.may_come_later();
            if again && self.attempt_again(&omitted)? {
                say!("{} is made after all", omitted.definition.what());
            } else {
                self.lock().push(omitted);
            }
        }
        Ok(())
    }

    fn attempt_plainly(&self, definition: &Definition) -> Result<Result<(), ServerError>> {
        let mut talk = self.open(&definition.settings)?;
        let done = talk.send(&definition.text).and_then(|()| talk.sync());
        failure_of(done.map(drop))
    }

    /// As it is, then under the search paths that may help.
    fn attempt_again(&self, omitted: &Omitted) -> Result<bool> {
        let definition = &omitted.definition;
        if self.attempt_plainly(definition)?.is_ok() {
            return Ok(true);
        }
        let ways = remedy::ways(&definition.text, &omitted.failure, &self.facts(definition));
        for way in ways {
            let under_a_path = matches!(way, Way::Path(_) | Way::FunctionsUnder(_));
            if under_a_path && self.attempt(definition, &way)?.is_ok() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Has rows taken that have failed, each time in a session of its own; gives the session that took
    /// them.
    ///
    /// # Errors
    /// If nothing helps; names the table.
    pub fn rows(
        &self,
        table: &Name,
        failure: ServerError,
        settings: &Seen,
        copy: impl Fn(&mut Talk) -> Result<()>,
    ) -> Result<Talk> {
        let what = format!("{}.{}", table.0, table.1).replace(char::is_control, "?");
        let mut last = failure.clone();
        let mut ways = remedy::ways_for_rows(&failure, self.search_path, &table.0);
        ways.extend(self.keep_going.then_some(RowWay::WithoutConstraints));
        for way in ways {
            let mut talk = self.open(settings)?;
            match &way {
                RowWay::Path(path) => {
                    talk.send(format!("SET search_path = {path};\n").as_bytes())?;
                }
                RowWay::WithoutConstraints if remedy::is_constraint(&last) => {
                    self.relax(table)?;
                }
                RowWay::WithoutConstraints => break,
            }
            match failure_of(copy(&mut talk))? {
                Ok(()) => {
                    if let RowWay::Path(path) = way {
                        say!(
                            "rows of table {what} are loaded under the search path {path}: {}",
                            failure.brief()
                        );
                    }
                    return Ok(talk);
                }
                Err(other) => last = other,
            }
        }
        Err(self.rows_error(&what, remedy::more_telling(failure, last)))
    }

    /// What a load ends with whose rows cannot be taken.
    pub fn rows_error(&self, table: &str, failure: ServerError) -> Error {
        let remedy =
            remedy::remedy(failure.sqlstate(), !self.keep_going && remedy::is_constraint(&failure));
        Error::new(failure.with_remedy(&remedy))
            .context(format!("table data {table}: statement 'COPY {table}' failed"))
    }

    /// Drops the checks of a table and of its columns' domains, which its rows do not fit; they are made
    /// again after all rows. Where another worker was faster, there are none left.
    fn relax(&self, table: &Name) -> Result<()> {
        let mut relaxed = self.relaxed.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = self.server.query(self.database, &relaxing(table))?;
        let constraints: Vec<Constraint> =
            serde_json::from_str(&answer).context("listing the constraints of a table")?;
        let settings = Arc::new(Seen::of_ours());
        for constraint in constraints {
            let mut talk = self.open(&settings)?;
            talk.send(constraint.drop.as_bytes())?;
            talk.sync()?;
            let object = Object::new("check constraint", &table.1, &table.0);
            let definition = Definition {
                number: u64::MAX,
                object: Some(Arc::new(object)),
                text: constraint.add.into_bytes(),
                settings: Arc::clone(&settings),
            };
            relaxed.push((definition, constraint.comment));
        }
        Ok(())
    }

    /// Makes the constraints again that rows did not fit, for new rows at least.
    ///
    /// # Errors
    /// If the server does not answer.
    pub fn constraints(&self) -> Result<()> {
        let relaxed =
            std::mem::take(&mut *self.relaxed.lock().unwrap_or_else(PoisonError::into_inner));
        for (definition, comment) in relaxed {
            if let Err(failure) = self.attempt_plainly(&definition)? {
                self.statement(&definition, failure)?;
            }
            if let Some(comment) = comment {
                let comment = Definition { text: comment.into_bytes(), ..definition };
                if let Err(failure) = self.attempt_plainly(&comment)? {
                    self.statement(&comment, failure)?;
                }
            }
        }
        Ok(())
    }

    /// What the loaded database lacks, in the order of the dump.
    pub fn into_omitted(self) -> Vec<Omitted> {
        let mut omitted = self.omitted.into_inner().unwrap_or_else(PoisonError::into_inner);
        omitted.sort_by_key(|omitted| omitted.definition.number);
        omitted
    }
}

/// Separates an error of the server from one of the session.
///
/// # Errors
/// Those that are none of the server's.
pub fn failure_of<T>(result: Result<T>) -> Result<Result<T, ServerError>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) => match error.downcast::<ServerError>() {
            Ok(failure) if failure.is_of_a_statement() => Ok(Err(failure)),
            Ok(failure) => Err(anyhow!(failure)),
            Err(error) => Err(error),
        },
    }
}

/// Statements that drop a constraint, make it again, and give it its comment back.
#[derive(Deserialize)]
struct Constraint {
    drop: String,
    add: String,
    comment: Option<String>,
}

/// Asks for those of a table's checks, its partitioned parents' and its columns' domains'.
fn relaxing(table: &Name) -> String {
    format!(
        "WITH t AS (SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
           WHERE n.nspname = {} AND c.relname = {}), \
         family AS (SELECT oid FROM t UNION SELECT p.relid FROM t, pg_catalog.pg_partition_ancestors(t.oid) p), \
         types AS (SELECT a.atttypid AS oid FROM pg_catalog.pg_attribute a JOIN t ON a.attrelid = t.oid \
           UNION SELECT y.typelem FROM pg_catalog.pg_attribute a JOIN t ON a.attrelid = t.oid \
             JOIN pg_catalog.pg_type y ON y.oid = a.atttypid), \
         checks AS (SELECT 'TABLE' AS kind, '' AS of, conrelid::pg_catalog.regclass::text AS owner, conname, oid \
             FROM pg_catalog.pg_constraint \
             WHERE contype = 'c' AND conislocal AND coninhcount = 0 AND conrelid IN (SELECT oid FROM family) \
           UNION ALL SELECT 'DOMAIN', 'DOMAIN ', contypid::pg_catalog.regtype::text, conname, oid \
             FROM pg_catalog.pg_constraint WHERE contype = 'c' AND contypid <> 0 AND contypid IN (SELECT oid FROM types)) \
         SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object( \
           'drop', pg_catalog.format('ALTER %s %s DROP CONSTRAINT IF EXISTS %I;', kind, owner, conname) || E'\\n', \
           'add', pg_catalog.format('ALTER %s %s ADD CONSTRAINT %I %s;', kind, owner, conname, \
             pg_catalog.pg_get_constraintdef(oid)) || E'\\n', \
           'comment', CASE WHEN pg_catalog.obj_description(oid, 'pg_constraint') IS NOT NULL THEN \
             pg_catalog.format('COMMENT ON CONSTRAINT %I ON %s%s IS %L;', conname, of, owner, \
               pg_catalog.obj_description(oid, 'pg_constraint')) || E'\\n' END)), '[]') FROM checks",
        literal(&table.0),
        literal(&table.1)
    )
}
