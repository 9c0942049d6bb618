//! The step that stops the application, and what it must not stop.

use crate::run::Run;
use crate::servers::Server;
use crate::services;
use anyhow::Result;
use pipe_kit::{Stop, info};

impl Run {
    pub fn stop(&self) -> Result<()> {
        let listed = services::list(&self.settings)?;
        let names = services::application(&listed, &self.settings.stateful);
        if names.is_empty() {
            info!("there are no application services to stop");
            return Ok(());
        }
        let up = services::up(&listed, &names);
        let answering = if up.is_empty() { Vec::new() } else { self.answering() };
        // The journal of an earlier version does not have what ran before its first run.
        let is_known = self.state.journal().is_none_or(|journal| journal.ran.is_some());
        self.state.stopping(if is_known { &up } else { &names })?;
        services::stop(&self.settings, &names).run()?;
        let lost: Vec<Server> =
            answering.into_iter().filter(|server| !self.answers(*server)).collect();
        if !lost.is_empty() {
            return Err(self.undo_stop(&names, &up, &lost).into());
        }
        let names = names.join(" ");
        match services::staying(&listed, &self.settings.stateful).join(" ") {
            staying if staying.is_empty() => info!("stopped {names}"),
            staying => info!("stopped {names}; {staying} stay up"),
        }
        Ok(())
    }

    /// Starts again what the step has stopped, since a server that the restore needs is among it. Without this, the
    /// restore would get no further, and a run that continues it would stop the server again.
    fn undo_stop(&self, names: &[String], up: &[String], lost: &[Server]) -> Stop {
        let up = services::without_done(&self.settings, up);
        let start = services::start(&self.settings, &up);
        let again = match start.run() {
            Ok(()) => {
                self.state.started(&up);
                self.wait_for(lost);
                "they have been started again".to_owned()
            }
            Err(error) => format!("they may not be running ({error:#}): {}", start.to_shell()),
        };
        Stop::refused(refusal(names, lost, &again, &self.settings.stateful))
    }
}

fn refusal(names: &[String], lost: &[Server], again: &str, stateful: &[String]) -> String {
    let (does, name, stays) = match lost {
        [_] => ("does", "the name of its service, one of these,", "it stays"),
        _ => ("do", "the names of their services, among these,", "they stay"),
    };
    let lost: Vec<_> = lost.iter().map(|server| server.name()).collect();
    let listed: Vec<_> = stateful.iter().map(String::as_str).chain(["NAME"]).collect();
    format!(
        "the {} {does} not answer once {} are stopped; {again}; add {name} to STATEFUL_SERVICES in .env, so that \
         {stays} up: STATEFUL_SERVICES=\"{}\"",
        lost.join(" and the "),
        names.join(" "),
        listed.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_names_what_does_not_answer_and_the_setting_to_correct() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let refusal = |lost: &[Server]| {
            refusal(&words("api db valkey"), lost, "they have been started again", &words("minio"))
        };
        let both = refusal(&[Server::Database, Server::Cache]);
        assert!(
            both.starts_with("the database and the cache do not answer once api db valkey are")
        );
        assert!(
            both.contains("the names of their services, among these, to STATEFUL_SERVICES in .env")
        );
        assert!(both.ends_with("STATEFUL_SERVICES=\"minio NAME\""));
        let one = refusal(&[Server::Storage]);
        assert!(one.starts_with("the object storage does not answer once "), "{one}");
    }
}
