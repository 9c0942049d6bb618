//! How far a restore has come, and so: what state a failure or a signal leaves the deployment in,
//! what can be put back at once, and which command goes on from there.

use super::{ConfigChoice, Options};
use crate::bundle::Bundle;
use crate::services;
use crate::settings::Settings;
use crate::step::Step;
use crate::summary::database_status;
use anyhow::Result;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Shared between the sequence and the signal thread.
pub struct Progress {
    settings: Settings,
    /// `bash …/restore.sh BUNDLE` with this run's options.
    command: String,
    now: Mutex<Now>,
}

#[derive(Clone, Debug, Default)]
struct Now {
    step: Option<Step>,
    /// The step before is whole; `step` is the last one that was.
    between: bool,
    /// The application services that this run has stopped, and not begun to start again.
    stopped: Vec<String>,
    /// The database's oid before the load.
    before: Option<u32>,
    swapped: bool,
}

/// What the server says of the database when a load was broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// The same one as before.
    Same,
    /// Another: the names were swapped.
    Other,
    /// None of that name.
    Missing,
    /// The server does not answer.
    Unknown,
}

fn seen(before: Option<u32>, now: Result<Option<u32>>) -> Seen {
    match now {
        Err(_) => Seen::Unknown,
        Ok(now) if now == before => Seen::Same,
        Ok(None) => Seen::Missing,
        Ok(Some(_)) => Seen::Other,
    }
}

/// What a failure leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aftermath {
    /// No harm was done yet.
    Untouched,
    /// The old database is in place and the application can serve again.
    StartAgain,
    /// Half restored: the application must not run on it. Go on from this step.
    LeaveStopped(Step),
    /// The database was being replaced, and the server does not say whether it was.
    NotKnown,
    /// All data is restored; services were started, or were about to be.
    NotStarted,
}

fn aftermath(now: &Now, database: impl FnOnce() -> Seen) -> Aftermath {
    match now.step {
        None => Aftermath::Untouched,
        Some(step) if step < Step::Stop => Aftermath::Untouched,
        Some(Step::Stop) => Aftermath::StartAgain,
        Some(Step::Database) if now.swapped => Aftermath::LeaveStopped(Step::Objects),
        // Not even our own record is believed: a signal may come between the swap and its note.
        Some(Step::Database) => match database() {
            Seen::Same => Aftermath::StartAgain,
            Seen::Other => Aftermath::LeaveStopped(Step::Objects),
            Seen::Missing => Aftermath::LeaveStopped(Step::Database),
            Seen::Unknown => Aftermath::NotKnown,
        },
        Some(Step::Cache) if now.between => Aftermath::NotStarted,
        Some(Step::Start | Step::Health) => Aftermath::NotStarted,
        Some(step) if now.between => {
            let next = Step::ALL.iter().find(|s| **s > step);
            Aftermath::LeaveStopped(next.copied().unwrap_or(step))
        }
        Some(step) => Aftermath::LeaveStopped(step),
    }
}

impl Progress {
    pub fn new(settings: &Settings, bundle: &Bundle, options: &Options) -> Self {
        let script = settings.deploy.join("scripts/restore.sh");
        let mut words =
            vec![script.to_string_lossy().into_owned(), bundle.dir.to_string_lossy().into_owned()];
        words.extend(options.force_config.then(|| "--force-config".into()));
        words.extend(options.drop_first.then(|| "--drop-first".into()));
        match options.config {
            ConfigChoice::Yes => words.extend(["--config".into(), "yes".into()]),
            ConfigChoice::No => words.extend(["--config".into(), "no".into()]),
            ConfigChoice::Ask => {}
        }
        Self {
            settings: settings.clone(),
            command: format!("bash {}", shell_words::join(&words)),
            now: Mutex::default(),
        }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn begin(&self, step: Step) {
        let mut now = self.now();
        now.step = Some(step);
        now.between = false;
    }

    pub fn end(&self, step: Step) {
        let mut now = self.now();
        now.step = Some(step);
        now.between = true;
    }

    pub fn stopping(&self, names: &[String]) {
        self.now().stopped = names.to_vec();
    }

    pub fn has_stopped(&self) -> bool {
        !self.now().stopped.is_empty()
    }

    pub fn starting(&self) {
        self.now().stopped.clear();
    }

    /// The load begins on the database with this oid.
    pub fn loading(&self, before: Option<u32>) {
        self.now().before = before;
    }

    pub fn swapped(&self) {
        self.now().swapped = true;
    }

    /// Puts back what can be put back, and tells the state and the next command.
    pub fn recover(&self) -> String {
        let now = self.now().clone();
        let command = &self.command;
        let database = || seen(now.before, database_status().map(|status| status.oid));
        match aftermath(&now, database) {
            Aftermath::Untouched => format!("nothing was changed; to try again: {command}"),
            Aftermath::StartAgain => {
                let services = self.start_again(&now.stopped);
                format!("the old database is as it was; {services}; to try again: {command}")
            }
            Aftermath::LeaveStopped(step) => format!(
                "the deployment is half restored{}; to go on from there: {command} --from {step}",
                Self::left_stopped(&now.stopped)
            ),
            Aftermath::NotKnown => format!(
                "the database server does not answer, so that it is not known whether the old database \
                 was replaced{}; once it answers, to restore anew: {command}",
                Self::left_stopped(&now.stopped)
            ),
            Aftermath::NotStarted => format!(
                "all data is restored, but services may not be running; to start and check them: {command} --from start"
            ),
        }
    }

    fn left_stopped(stopped: &[String]) -> String {
        match stopped {
            [] => String::new(),
            names => format!("; {} are left stopped", names.join(" ")),
        }
    }

    fn start_again(&self, stopped: &[String]) -> String {
        if stopped.is_empty() {
            return "no service was stopped".into();
        }
        let start = services::start(&self.settings, stopped);
        match start.run() {
            Ok(()) => format!("{} run again", stopped.join(" ")),
            Err(error) => {
                format!(
                    "{} may not be running ({error:#}): {}",
                    stopped.join(" "),
                    start.to_shell()
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(step: Step, swapped: bool, between: bool) -> Now {
        Now { step: Some(step), swapped, between, stopped: vec!["api".into()], before: Some(7) }
    }

    #[test]
    fn until_the_swap_the_application_serves_again_and_after_it_stays_stopped() {
        use Aftermath::{LeaveStopped, NotKnown, NotStarted, StartAgain, Untouched};
        for (now, database, expected) in [
            (Now::default(), Seen::Same, Untouched),
            (at(Step::Confirm, false, false), Seen::Same, Untouched),
            (at(Step::Preflight, false, true), Seen::Same, Untouched),
            (at(Step::Stop, false, false), Seen::Same, StartAgain),
            (at(Step::Stop, false, true), Seen::Same, StartAgain),
            (at(Step::Database, false, false), Seen::Same, StartAgain),
            (at(Step::Database, false, false), Seen::Missing, LeaveStopped(Step::Database)),
            (at(Step::Database, false, false), Seen::Other, LeaveStopped(Step::Objects)),
            (at(Step::Database, false, false), Seen::Unknown, NotKnown),
            (at(Step::Database, true, false), Seen::Same, LeaveStopped(Step::Objects)),
            (at(Step::Database, true, true), Seen::Other, LeaveStopped(Step::Objects)),
            (at(Step::Objects, true, false), Seen::Other, LeaveStopped(Step::Objects)),
            (at(Step::Objects, true, true), Seen::Other, LeaveStopped(Step::Config)),
            (at(Step::Cache, true, true), Seen::Other, NotStarted),
            (at(Step::Start, true, false), Seen::Other, NotStarted),
            (at(Step::Health, true, true), Seen::Other, NotStarted),
        ] {
            assert_eq!(aftermath(&now, || database), expected, "{now:?} {database:?}");
        }
    }

    #[test]
    fn another_database_of_the_name_is_a_swap() {
        assert_eq!(seen(Some(7), Ok(Some(7))), Seen::Same);
        assert_eq!(seen(None, Ok(None)), Seen::Same);
        assert_eq!(seen(Some(7), Ok(Some(8))), Seen::Other);
        assert_eq!(seen(None, Ok(Some(8))), Seen::Other);
        assert_eq!(seen(Some(7), Ok(None)), Seen::Missing);
        assert_eq!(seen(Some(7), Err(anyhow::anyhow!("gone"))), Seen::Unknown);
    }
}
