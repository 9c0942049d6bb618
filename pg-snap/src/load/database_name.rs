//! What reads the name of its database. A load evaluates it in the incoming database, which has another name, so it is
//! evaluated once more after the swap: materialized views are filled again, and checks that rows did not fit are validated.
//!
//! Until that is done, it counts as left out: a load that is killed in between has recorded it.

use super::Load;
use super::definition::{Definition, ObjectName};
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
use anyhow::{Context, Result};
use pipe_kit::{info, warning};
use std::sync::Arc;

/// Once the database is in use, others may hold locks on its views.
const LOCK_TIMEOUT: &str = "60s";

fn views(server: &Server, incoming: &str) -> Result<Vec<Name>> {
    let answer = server.query(incoming, &with_patterns(include_str!("database_name/views.sql")))?;
    serde_json::from_str(&answer).context("listing materialized views")
}

/// The settings of the database itself.
fn own_settings() -> SessionSettings {
    let mut settings = SessionSettings::for_definitions();
    for (name, statement) in
        [(".array_nulls", "RESET array_nulls;\n"), (".row_security", "SET row_security = on;\n")]
    {
        settings.set(name.into(), statement.into());
    }
    settings
}

fn pending(omission: Omission, definition: Definition) -> Omitted {
    let failure = ServerError::other("it reads the name that the database has only after the swap");
    Omitted { omission, definition, failure }
}

fn validation(check: Definition) -> Option<Omitted> {
    let text = properties::validation(&check.text)? + "\n";
    Some(pending(Omission::NotValid, Definition { text: text.into_bytes(), ..check }))
}

fn refresh((schema, view): &Name) -> Omitted {
    let text = format!("REFRESH MATERIALIZED VIEW {}.{};\n", ident(schema), ident(view));
    let definition = Definition {
        number: u64::MAX,
        object: Some(Arc::new(ObjectName::new("materialized view", view, schema))),
        text: text.into_bytes(),
        settings: Arc::new(own_settings()),
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
                Session { server, database, paths, event_triggers }.evaluate(&omitted.definition)
            }
            Err(error) => Err(ServerError::other(format!("{error:#}"))),
        };
        match done {
            Ok(()) => info!(
                "{} reads the name of the database, and was evaluated again under it",
                omitted.definition.what()
            ),
            Err(failure) => {
                let omitted = Omitted { failure, ..omitted };
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
    fn evaluate(&self, definition: &Definition) -> Result<(), ServerError> {
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

impl Load {
    /// What is to be evaluated again once the database has its name. `checks`: the statements that have added checks as
    /// not valid.
    pub(super) fn to_evaluate_again(&self, checks: Vec<Definition>) -> Vec<Omitted> {
        let incoming = &self.names.incoming;
        let mut again: Vec<Omitted> = checks.into_iter().filter_map(validation).collect();
        match views(&self.unseen_server(), incoming) {
            Ok(views) => again.extend(views.iter().map(refresh)),
            Err(error) => warning!(
                "materialized views that read the name of the database are not known, and have that of {incoming}: {error:#}"
            ),
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
