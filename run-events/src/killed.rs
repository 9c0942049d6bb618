//! The report of runs that were killed: what such a run cannot do is done by the next one of its kind.

use crate::begun::{Begun, Note};
use crate::mask::Secrets;
use crate::message::Message;
use crate::notify::Notifier;
use crate::record::Record;
use crate::settings::Settings;
use crate::tally::Tallies;
use bundle_format::report::RunKind;
use chrono::SecondsFormat;
use pipe_kit::cleanup;

/// Who reports them, and to whom.
pub struct Reporter<'a> {
    pub settings: &'a Settings,
    pub notifier: &'a Notifier,
    pub kind: RunKind,
}

impl Reporter<'_> {
    /// Reports these runs, each once. What a signal keeps this run from doing is left for the next one.
    pub fn report(&self, killed: Vec<Begun>) {
        let secrets = if killed.is_empty() { Secrets::default() } else { self.secrets() };
        for run in killed {
            self.report_one(run, &secrets);
        }
    }

    /// If the run had done everything, that it was killed is no failure.
    fn report_one(&self, run: Begun, secrets: &Secrets) {
        let state_dir = self.settings.state_dir();
        let Note { status, record } = run.noted();
        let recorded = || Record::read(&state_dir, self.kind);
        let record = record.or_else(recorded).filter(|record| record.started == run.started);
        let status = status.or_else(|| record.as_ref()?.status);
        if status == Some(0) {
            return run.end();
        }
        // Counted before the message is sent: a run is counted once under its name, but a message cannot be recalled.
        Tallies::read(&state_dir).failed(self.kind, Some(&run.name()));
        if cleanup::is_ending() {
            return;
        }
        let when = match status {
            None => "",
            Some(_) => ", after it had failed",
        };
        let reason = format!(
            "the run that began at {} was killed, or the host went down{when}",
            run.started.to_rfc3339_opts(SecondsFormat::Secs, true)
        );
        let (settings, kind, record) = (self.settings, self.kind, record.as_ref());
        let message = Message { settings, kind, record, reason: &reason };
        if self.notifier.report(&message.failure(status, secrets)) || !cleanup::is_ending() {
            run.end();
        }
    }

    fn secrets(&self) -> Secrets {
        match self.notifier.hook {
            Some(_) => Secrets::of_run(&self.settings.deploy),
            None => Secrets::default(),
        }
    }
}
