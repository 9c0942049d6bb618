//! What reads the name of its database. A load evaluates it in the incoming database, which has another name, so it is
//! evaluated once more after the swap: generated columns are computed, and indexes built, again; checks that rows did not
//! fit are validated, and indexes created that could not be; materialized views are filled again.
//!
//! Until that is done, it counts as left out: a load that is killed in between has recorded it.

use super::Load;
use super::definition::{Definition, ObjectName};
use super::domain_rows;
use super::load_session::LoadSession;
use super::name_patterns::with_patterns;
use super::omitted::{Omission, Omitted};
use super::remedy::{self, Alternative, RetryContext};
use super::repair::failure_of;
use super::search_paths::SearchPaths;
use super::settings::{self, SessionSettings};
use super::swap::Swapped;
use crate::psql::Server;
use crate::server_error::ServerError;
use crate::sql::{Name, ident, properties};
use anyhow::{Context, Error, Result};
use pipe_kit::{info, warning};
use serde::Deserialize;
use std::sync::Arc;

/// Once the database is in use, others may hold locks on its views.
const LOCK_TIMEOUT: &str = "60s";

/// What is computed from rows, with the statement that computes it again.
#[derive(Deserialize)]
struct Computed {
    kind: String,
    schema: String,
    name: String,
    statement: String,
}

fn computed(server: &Server, incoming: &str) -> Result<Vec<Computed>> {
    let query = with_patterns(include_str!("database_name/computed.sql"));
    let answer = server.query(incoming, &query)?;
    serde_json::from_str(&answer).context("listing indexes and generated columns")
}

fn views(server: &Server, incoming: &str) -> Result<Vec<Name>> {
    let answer = server.query(incoming, &with_patterns(include_str!("database_name/views.sql")))?;
    serde_json::from_str(&answer).context("listing materialized views")
}

/// The settings of the database itself, with policies or none.
fn own_settings(row_security: &str) -> SessionSettings {
    let mut settings = SessionSettings::for_definitions();
    settings.set(".array_nulls".into(), "RESET array_nulls;\n".into());
    let policies = format!("SET row_security = {row_security};\n");
    settings.set(".row_security".into(), policies.into());
    settings
}

fn pending(omission: Omission, definition: Definition) -> Omitted {
    let failure = ServerError::other("it reads the name that the database has only after the swap");
    Omitted { omission, definition, failure }
}

/// A check that was added is validated, and everything else created.
fn postponed(definition: Definition) -> Option<Omitted> {
    if !properties::adds_checked_constraint(&definition.text) {
        return Some(pending(Omission::LeftOut, definition));
    }
    let text = properties::validation(&definition.text)? + "\n";
    Some(pending(Omission::NotValid, Definition { text: text.into_bytes(), ..definition }))
}

fn compute(computed: Computed) -> Omitted {
    let Computed { kind, schema, name, statement } = computed;
    again(ObjectName::new(&kind, &name, &schema), statement, own_settings("off"))
}

fn refresh((schema, view): &Name) -> Omitted {
    let text = format!("REFRESH MATERIALIZED VIEW {}.{};\n", ident(schema), ident(view));
    again(ObjectName::new("materialized view", view, schema), text, own_settings("on"))
}

fn again(object: ObjectName, text: String, settings: SessionSettings) -> Omitted {
    let definition = Definition {
        number: u64::MAX,
        object: Some(Arc::new(object)),
        text: text.into_bytes(),
        settings: Arc::new(settings),
        calls: true,
    };
    pending(Omission::LeftOut, definition)
}

/// Evaluates it in the database that has its name; returns what has failed.
fn evaluate(
    server: &Server,
    database: &str,
    paths: &SearchPaths,
    again: Vec<Omitted>,
) -> Vec<Omitted> {
    let event_triggers = event_triggers(server, database);
    let mut failed = Vec::new();
    for omitted in again {
        let done = match &event_triggers {
            Ok(event_triggers) => {
                Session { server, database, paths, event_triggers }.evaluate(omitted)
            }
            Err(error) => {
                let failure = ServerError::other(format!("{error:#}"));
                Err(Omitted { failure, ..omitted })
            }
        };
        match done {
            Ok(what) => {
                info!("{what}: evaluated again under the name of the database");
            }
            Err(omitted) => {
                warning!("{omitted}");
                failed.push(omitted);
            }
        }
    }
    failed
}

/// The statements that disable all event triggers, and that enable them again.
fn event_triggers(server: &Server, database: &str) -> Result<(String, String)> {
    let answer = server.query(database, include_str!("database_name/event_triggers.sql"))?;
    serde_json::from_str(&answer).context("listing event triggers")
}

struct Session<'a> {
    server: &'a Server,
    database: &'a str,
    paths: &'a SearchPaths,
    event_triggers: &'a (String, String),
}

impl Session<'_> {
    /// Returns what it has evaluated.
    fn evaluate(&self, omitted: Omitted) -> Result<String, Omitted> {
        let Err(failure) = self.execute(&omitted.definition) else {
            return Ok(omitted.definition.what());
        };
        match self.check_rows(&omitted.definition, &failure) {
            Some((_, Ok(()))) => Ok(omitted.definition.what()),
            Some((definition, Err(failure))) => Err(Omitted { definition, failure, ..omitted }),
            None => Err(Omitted { failure, ..omitted }),
        }
    }

    /// Checks the rows of a domain by queries, where the server refuses to validate its check; returns these.
    fn check_rows(
        &self,
        definition: &Definition,
        failure: &ServerError,
    ) -> Option<(Definition, Result<(), ServerError>)> {
        let queries = domain_rows::queries(self.server, self.database, definition, failure)?;
        let checked = self.execute(&queries);
        if checked.is_ok() {
            warning!("{}", domain_rows::fit(definition));
        }
        Some((queries, checked))
    }

    fn execute(&self, definition: &Definition) -> Result<(), ServerError> {
        let first = self.paths.first_script(definition).text();
        let Err(failure) = self.attempt(definition, &first) else { return Ok(()) };
        let context = RetryContext {
            paths: self.paths,
            schema: definition.schema(),
            keep_going: false,
            has_rights: true,
        };
        for alternative in remedy::alternatives(definition, &failure, &context) {
            let script = match &alternative {
                Alternative::Again => first.to_vec(),
                other => other.script_in_transaction(definition),
            };
            if self.attempt(definition, &script).is_ok() {
                return Ok(());
            }
        }
        Err(failure)
    }

    /// Event triggers see nothing of it: no other session ever finds them disabled.
    fn attempt(&self, definition: &Definition, script: &[u8]) -> Result<(), ServerError> {
        let (disable, enable) = self.event_triggers;
        let begin = format!(
            "SET ROLE NONE;\nSET lock_timeout = '{LOCK_TIMEOUT}';\n{}",
            settings::for_database_in_use(self.server, 1)
        );
        let whole = [
            &definition.settings.to_sql(),
            &b"BEGIN;\n"[..],
            disable.as_bytes(),
            script,
            enable.as_bytes(),
            b"COMMIT;\n",
        ]
        .concat();
        let run = || {
            let mut session = LoadSession::open(self.server, self.database, &begin)?;
            session.send(&whole)?;
            session.sync().map(drop)
        };
        match failure_of(run()) {
            Ok(done) => done,
            Err(error) => Err(ServerError::other(format!("{error:#}"))),
        }
    }
}

fn warn_of_unknown(what: &str, incoming: &str, error: &Error) {
    warning!(
        "{what} that read the name of the database are not known, and have that of {incoming}: {error:#}"
    );
}

impl Load {
    /// What is to be evaluated again once the database has its name. `definitions`: the statements that have added checks as
    /// not valid, or were not executed.
    pub(super) fn to_evaluate_again(&self, definitions: Vec<Definition>) -> Vec<Omitted> {
        let (server, incoming) = (self.unseen_server(), &self.names.incoming);
        let mut again = Vec::new();
        match computed(&server, incoming) {
            Ok(computed) => again.extend(computed.into_iter().map(compute)),
            Err(error) => warn_of_unknown("indexes and generated columns", incoming, &error),
        }
        again.extend(definitions.into_iter().filter_map(postponed));
        match views(&server, incoming) {
            Ok(views) => again.extend(views.iter().map(refresh)),
            Err(error) => warn_of_unknown("materialized views", incoming, &error),
        }
        again
    }

    /// By now, the database has its event triggers.
    fn unseen_server(&self) -> Server {
        self.server.without_event_triggers(self.facts.superuser)
    }

    /// Evaluates what reads the name of the database, which it has now. What fails is left out, and the old database kept.
    pub(super) fn evaluate_again(
        &self,
        paths: &SearchPaths,
        again: Vec<Omitted>,
        swapped: Swapped,
    ) -> Swapped {
        let Swapped { mut omitted, keep, old } = swapped;
        let failed = evaluate(&self.unseen_server(), &self.names.database, paths, again);
        if failed.is_empty() || keep {
            omitted.extend(failed);
            return Swapped { omitted, keep, old };
        }
        omitted.extend(failed);
        let old = old.map(|old| match self.keep_old(&old) {
            Ok(kept) => kept,
            Err(error) => {
                warning!("the old database keeps its temporary name: {error:#}");
                old
            }
        });
        Swapped { omitted, keep: true, old }
    }
}
